"""What the plugin offers."""

import pytest
from tastemaker.plugins import catalog

OFFERED = {
    "available",
    "collaborative",
    "freshness",
    "novelty",
    "numeric",
    "popular",
    "popularity",
    "random",
    "recent",
    "seen",
    "similar",
    "similarity",
    "stages",
    "tag_match",
    "where",
    "wish",
}


def test_the_plugin_offers_its_components_in_order():
    names = [component.component_name() for component in catalog.components()]
    assert names == sorted(OFFERED)


@pytest.mark.parametrize("component", catalog.components(), ids=lambda component: component.component_name())
def test_every_option_and_component_says_what_it_is(component):
    schema = component.model_json_schema()
    assert schema["description"]
    assert all(option.get("description") for option in schema["properties"].values())
    assert component.blocking is False
