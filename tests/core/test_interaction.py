"""An interaction comes out of the log as it went in."""

from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core import Interaction

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)


@given(
    st.builds(
        Interaction,
        id=TEXT,
        domain=TEXT,
        user=TEXT,
        item=TEXT,
        kind=TEXT,
        time=st.floats(0, 1e11),
        value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        slate=st.none() | TEXT,
        position=st.none() | st.integers(0, 500),
        situation=st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT),
    )
)
def test_round_trip(interaction: Interaction) -> None:
    body = interaction.to_bytes()
    assert Interaction.from_bytes(interaction.id, interaction.domain, interaction.user, body) == interaction
