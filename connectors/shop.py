"""Shops: product feeds, databases and WooCommerce.

connectors:
  woocommerce: {use: shop.woocommerce, url: https://shop.example, consumer_key: ck_…, consumer_secret: cs_…}
collectors:
  catalogue: {use: shop.products, every: 1m, replace: true}
  orders: {use: shop.orders, every: 5m}
"""

from collections.abc import Sequence

from ..core import Component, hookimpl
from .feed import Feed, FeedFile
from .feed_download import FeedUrl
from .sql import Sql
from .woocommerce import Woocommerce
from .woocommerce_orders import Orders
from .woocommerce_products import Products


@hookimpl
def components() -> Sequence[type[Component]]:
    """What the plugin `shop` offers."""
    return [Feed, FeedFile, FeedUrl, Orders, Products, Sql, Woocommerce]
