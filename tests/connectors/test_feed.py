"""shop.feed_file: what a shop says of its products is what arrives, and what can't be used is named by its line."""

import asyncio
import gzip
import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tastemaker.connectors.feed import FeedFile
from tastemaker.core import Collection, CollectorError, Fault, Record

Write = Callable[[str, str | bytes], Path]
NOW = 1_795_000_000.0  # 2026-11-18


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of that name and content."""

    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        raw = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return written


def collected(feed: FeedFile, collection: Collection) -> list[Record | Fault]:
    async def run() -> list[Record | Fault]:
        return [each async for each in feed.collect(collection)]

    return asyncio.run(run())


def read(path: Path, now: float = NOW, **options: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The items, and the faults as people read them."""
    found = collected(FeedFile(path=path, **options), Collection("shop", now))
    faults = [f"{each.where}: {each.message}" for each in found if isinstance(each, Fault)]
    return [dict(each.values) for each in found if isinstance(each, Record)], faults


def error(path: Path, **options: Any) -> str:
    with pytest.raises(CollectorError) as caught:
        read(path, **options)
    return str(caught.value)


CSV = (
    "id,title,price,availability,gtin,product_type\n"
    "p1,Mug,15.00 USD,in_stock,4006381333931,Kitchen > Mugs\n"
    'p2,Jug,"1,299.00 USD",out of stock,,Kitchen\n'
)
RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>
<title>The shop</title><link>https://shop.example</link>
<item>
  <g:id>p1</g:id><title>Mug &amp; saucer</title><g:price>15.00 USD</g:price>
  <link>https://shop.example/p1</link>
  <g:additional_image_link>https://shop.example/1.jpg</g:additional_image_link>
  <g:additional_image_link>https://shop.example/2.jpg</g:additional_image_link>
  <description><![CDATA[<p>Holds <b>tea</b>.</p><script>alert(1)</script>]]></description>
  <g:shipping><g:country>DE</g:country><g:price>4.90 USD</g:price></g:shipping>
  <g:availability>in_stock</g:availability>
</item>
<item><g:id>p2</g:id><g:title>Jug</g:title><title>Not this one</title></item>
</channel></rss>
"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
<title>The shop</title>
<entry><id>urn:1</id><g:id>p1</g:id><title>Mug</title><link href="https://shop.example/p1"/></entry>
</feed>
"""


class TestFormats:
    def test_csv(self, write: Write) -> None:
        items, faults = read(write("feed.csv", CSV))
        assert faults == []
        assert items[0] == {
            "id": "p1", "title": "Mug", "price": Decimal("15.00"), "regular_price": Decimal("15.00"),
            "currency": "USD", "availability": "in_stock", "available": True, "gtin": "4006381333931",
            "product_type": "Kitchen > Mugs", "category": "Kitchen", "tags": ["Mugs"],
        }  # fmt: skip
        assert items[1]["price"] == Decimal("1299.00")
        assert (items[1]["availability"], items[1]["available"]) == ("out_of_stock", False)

    @pytest.mark.parametrize("name", ["feed.txt", "feed.txt.gz", "feed.tsv", "FEED"])
    def test_tsv_with_spaces_and_prefixes_in_its_names(self, write: Write, name: str) -> None:
        items, faults = read(
            write(name, "g:id\tTitle\tg:image link\tSale Price\tprice\np1\tMug\tu\t9 EUR\t12 EUR\n")
        )
        assert faults == []
        assert (items[0]["id"], items[0]["image_link"]) == ("p1", "u")
        assert (items[0]["price"], items[0]["regular_price"]) == (Decimal(9), Decimal(12))

    def test_rss(self, write: Write) -> None:
        items, faults = read(write("feed.xml", RSS))
        assert faults == []
        assert items[0]["title"] == "Mug & saucer"
        assert items[0]["description"] == "Holds tea."
        assert items[0]["additional_image_link"] == [
            "https://shop.example/1.jpg",
            "https://shop.example/2.jpg",
        ]
        assert items[0]["price"] == Decimal("15.00")
        assert "shipping" not in items[0]
        assert items[1]["title"] == "Jug"

    def test_atom(self, write: Write) -> None:
        items, faults = read(write("feed", ATOM))
        assert faults == []
        assert items == [{"id": "p1", "title": "Mug", "link": "https://shop.example/p1"}]

    def test_json_lines_and_a_json_list(self, write: Write) -> None:
        row = {"id": 7, "title": "Mug", "price": "15 USD", "additional_image_link": ["a", "b"]}
        for name, text in (("f.jsonl", json.dumps(row) + "\n"), ("f.json", json.dumps([row]))):
            items, faults = read(write(name, text))
            assert faults == []
            assert (items[0]["id"], items[0]["additional_image_link"]) == (7, ["a", "b"])

    def test_a_format_that_is_told_is_believed(self, write: Write) -> None:
        assert "no header" in error(write("a", '"unclosed'), format="csv")

    def test_where_a_row_stands(self, write: Write) -> None:
        found = collected(FeedFile(path=write("feed.xml", RSS)), Collection("shop", NOW))
        assert [each.where for each in found] == ["feed.xml:4", "feed.xml:13"]
        assert all(isinstance(each, Record) and each.offset > 0 for each in found)


ROWS = [
    ("p1,Mug,12 bucks,in_stock,", "feed.csv:2: 'p1': the price '12 bucks' is no amount of money; write it as "
     "15.00 USD"),
    ("p1,Mug,12.00,in_stock,", "feed.csv:2: 'p1': the price '12.00' names no currency; write it as 12.00 USD, or set "
     "`currency`"),
    ("p1,Mug,12 USX,in_stock,", "feed.csv:2: 'p1': the price '12 USX' is in USX, which is no ISO 4217 currency, "
     "as USD and EUR are"),
    ("p1,Mug,-1 USD,in_stock,", "feed.csv:2: 'p1': the price '-1 USD' is below 0"),
    ("p1,Mug,12 USD,in stok,", "feed.csv:2: 'p1': the availability 'in stok' must be one of in_stock, out_of_stock, "
     "preorder, backorder; did you mean 'in_stock'?"),
    ("p1,,12 USD,in_stock,", "feed.csv:2: 'p1' has no title"),
    (",Mug,12 USD,in_stock,", "feed.csv:2: it has no id"),
    (f"{'x' * 51},Mug,12 USD,in_stock,", f"feed.csv:2: its id '{'x' * 20}…' has 51 characters; 50 are allowed"),
    ("p1,Mug,12 USD", "feed.csv:2: 3 cells where the header has 5"),
]  # fmt: skip
KEPT = [
    ("p1,Mug,12 USD,in_stock,4006381333932", "feed.csv:2: 'p1': the gtin '4006381333932' must end in 1, its check "
     "digit, or has a wrong digit; it is taken without"),
    ("p1,Mug,12 USD,in_stock,4.00638E+12", "feed.csv:2: 'p1': the gtin '4.00638E+12' was spoiled by a spreadsheet; "
     "keep the column as text; it is taken without"),
    ("p1,Mug,12 USD,in_stock,123", "feed.csv:2: 'p1': the gtin '123' must have 8, 12, 13 or 14 digits; it is taken "
     "without"),
]  # fmt: skip


class TestRows:
    @pytest.mark.parametrize(("row", "said"), ROWS)
    def test_a_bad_row_is_named_and_the_rest_goes_on(self, write: Write, row: str, said: str) -> None:
        text = f"id,title,price,availability,gtin\n{row}\np9,Jug,1 USD,preorder,\n"
        items, faults = read(write("feed.csv", text))
        assert faults == [said]
        assert [item["id"] for item in items] == ["p9"]

    @pytest.mark.parametrize(("row", "said"), KEPT)
    def test_a_detail_that_is_wrong_is_left_out(self, write: Write, row: str, said: str) -> None:
        items, faults = read(write("feed.csv", f"id,title,price,availability,gtin\n{row}\n"))
        assert faults == [said]
        assert len(items) == 1
        assert "gtin" not in items[0]

    def test_prices_in_another_currency_are_refused(self, write: Write) -> None:
        items, faults = read(
            write("f.csv", "id;title;price\na;A;1 EUR\nb;B;2 USD\nc;C;3,50\n"), currency="EUR"
        )
        assert [(item["id"], item["price"]) for item in items] == [("a", Decimal(1)), ("c", Decimal("3.50"))]
        assert faults == ["f.csv:3: 'b': the price '2 USD' is in USD, and the shop's prices are in EUR"]

    def test_a_sale_counts_while_it_lasts(self, write: Write) -> None:
        row = "id,title,price,sale_price,sale_price_effective_date\n"
        row += "a,A,10 USD,8 USD,2026-11-01T00:00Z/2026-12-01T00:00Z\nb,B,10 USD,8 USD,\n"
        path = write("f.csv", row)
        prices = [[item["price"] for item in read(path, now=now)[0]] for now in (NOW, NOW + 30 * 86_400)]
        assert prices == [[8, 8], [10, 8]]

    @pytest.mark.parametrize(
        ("sale", "period", "said"),
        [
            ("18 USD", "", "the sale_price 18 is above the price 10; it is taken at its usual price"),
            ("8 EUR", "", "the sale_price '8 EUR' is in EUR, and the shop's prices are in USD; it is taken at its "
             "usual price"),
            ("8 USD", "tomorrow", "the sale_price_effective_date 'tomorrow' must be two times with a slash between "
             "them, such as 2026-11-20T08:00+0100/2026-11-27T23:59+0100; it is taken at its usual price"),
        ],
    )  # fmt: skip
    def test_a_sale_that_makes_no_sense_is_none(
        self, write: Write, sale: str, period: str, said: str
    ) -> None:
        path = write(
            "f.csv", f"id,title,price,sale_price,sale_price_effective_date\na,A,10 USD,{sale},{period}\n"
        )
        items, faults = read(path)
        assert items[0]["price"] == 10
        assert faults == [f"f.csv:2: 'a': {said}"]

    def test_columns_may_have_other_names(self, write: Write) -> None:
        path = write("f.csv", "SKU,Name,Retail Price,Colour\n1,Mug,3 GBP,red\n")
        columns = {"id": "sku", "title": "Name", "price": "retail_price", "color": "Colour"}
        items, faults = read(path, columns=columns)
        assert faults == []
        assert [items[0][name] for name in columns] == ["1", "Mug", Decimal(3), "red"]

    def test_a_column_that_no_product_has_is_told(self, write: Write) -> None:
        _, faults = read(write("f.csv", "id,title\n1,Mug\n"), columns={"brand": "titel"})
        assert faults == [
            "f.csv: no product has 'titel', which `columns` names for 'brand'; did you mean 'title'?"
        ]

    def test_what_can_be_bought_is_an_option(self, write: Write) -> None:
        path = write("f.csv", "id,title,availability\na,A,preorder\nb,B,backorder\nc,C,in_stock\nd,D,\n")
        items, _ = read(path, sellable=["in_stock"])
        assert [item.get("available") for item in items] == [False, False, True, None]


BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>
<rss><channel><item><id>1</id><title>&lol2;</title></item></channel></rss>"""
FOREIGN = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<rss><channel><item><id>1</id><title>&x;</title></item></channel></rss>"""


class TestFiles:
    @pytest.mark.parametrize("text", [BOMB, FOREIGN])
    def test_entities_are_refused(self, write: Write, text: str) -> None:
        assert "declares XML entities" in error(write("f.xml", text))

    def test_broken_xml_is_told_by_its_place(self, write: Write) -> None:
        said = error(write("f.xml", RSS.replace("</item>\n<item><g:id>p2", "<item><g:id>p2")))
        assert said == "f.xml:13:3: no well-formed XML: mismatched tag"

    def test_what_is_no_feed(self, write: Write) -> None:
        assert "is no product feed" in error(write("f.xml", "<html><body/></html>"))
        assert "holds no product" in error(write("f.xml", "<rss><channel/></rss>"))
        assert "holds no product" in error(write("f.csv", "id,title\n"))
        assert "is empty" in error(write("f.csv", ""))

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert "no file at" in error(tmp_path / "nowhere.csv")

    def test_an_item_without_an_end_is_not_held_in_memory(self, write: Write) -> None:
        endless = "<rss><channel><item><title>" + "x" * (17 << 20)
        assert "more than 16 MB without an item's end" in error(write("f.xml", endless))

    def test_a_file_that_has_not_changed_is_not_read_again(self, write: Write) -> None:
        path = write("f.csv", CSV)
        feed, first = FeedFile(path=path), Collection("shop", NOW)
        assert len(collected(feed, first)) == 2
        assert not first.partial
        second = Collection("shop", NOW + 60, mark=first.mark)
        assert collected(feed, second) == []
        assert second.partial
        os.utime(path, ns=(1, 1))
        assert len(collected(feed, Collection("shop", NOW + 120, mark=first.mark))) == 2

    def test_it_is_read_again_when_a_sale_begins_or_ends(self, write: Write) -> None:
        header = "id,title,price,sale_price,sale_price_effective_date\n"
        path = write("f.csv", header + "a,A,10 USD,8 USD,2026-11-01T00:00Z/2026-12-01T00:00Z\n")
        feed, first = FeedFile(path=path), Collection("shop", NOW)
        collected(feed, first)
        later = Collection("shop", NOW + 30 * 86_400, mark=first.mark)
        (record,) = collected(feed, later)
        assert isinstance(record, Record)
        assert record.values["price"] == 10

    @pytest.mark.parametrize("mark", ["", "nonsense", "[]", '{"version": 1}', "null"])
    def test_an_odd_mark_counts_as_none(self, write: Write, mark: str) -> None:
        assert len(collected(FeedFile(path=write("f.csv", CSV)), Collection("shop", NOW, mark=mark))) == 2

    def test_options(self, write: Write) -> None:
        with pytest.raises(ValidationError, match="no ISO 4217"):
            FeedFile(path=write("f.csv", CSV), currency="EURO")
