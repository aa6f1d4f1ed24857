"""Precisions, settings of nodes and assignment files: text and back, refusals."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.assignment import Assignment, is_pattern, matches, read_assignment, write_assignment
from intaglio.errors import UserError
from intaglio.precision import NodeConfig, Precision

PRECISIONS = [Precision.parse(name) for name in ("a8w8", "a16w8", "a16w16", "a8w4", "a16w4", "bf16", "float")]


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
def test_a_precision_reads_back_from_its_text_and_its_candidate(precision: Precision):
    assert Precision.parse(str(precision)) == precision
    assert Precision.of_candidate(precision.candidate) == precision


def test_aimet_candidates_list_activations_first():
    assert str(Precision.of_candidate(((16, "int"), (8, "int")))) == "a16w8"
    assert Precision.of_candidate(((16, "float"), (16, "float"))).is_bfloat16
    with pytest.raises(UserError, match="candidate"):
        Precision.of_candidate(((16, "float"), (8, "int")))


@pytest.mark.parametrize("text", ["a8w16", "a4w4", "a32w8", "w8a8", "", "int4"])
def test_other_precisions_are_refused(text: str):
    with pytest.raises(UserError, match="there is no precision") as error:
        Precision.parse(text)
    assert "a16w8" in str(error.value)


CONFIGS = st.builds(
    NodeConfig,
    st.sampled_from([None, *PRECISIONS]),
    st.booleans(),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, True, False]),
)


@given(CONFIGS)
def test_settings_read_back(config: NodeConfig):
    assert NodeConfig.of(config.settings()) == config
    if str(config):
        assert NodeConfig.parse(str(config)) == config


@given(CONFIGS, CONFIGS, CONFIGS)
def test_settings_laid_over_each_other(first: NodeConfig, second: NodeConfig, third: NodeConfig):
    assert first.over(second).over(third) == first.over(second.over(third))
    assert first.over(NodeConfig()) == NodeConfig().over(first) == first.over(first) == first


def test_a_setting_given_twice_is_refused():
    with pytest.raises(UserError, match="asymmetric is set twice"):
        NodeConfig.parse("symmetric+asymmetric")


@given(nodes=st.dictionaries(st.text(max_size=8).filter(str.isprintable), CONFIGS.filter(lambda c: bool(str(c)))))
def test_assignments_read_back(tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, NodeConfig]):
    folder = tmp_path_factory.mktemp("assignment")
    for name, default in (("a.json", Precision.INT8), ("a.toml", None)):
        assignment = Assignment(nodes, default)
        write_assignment(folder / name, assignment)
        found = read_assignment(folder / name)
        assert found == assignment
        assert list(found.nodes) == list(nodes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected an object"),
        ("{", "not JSON"),
        ('{"node": {}}', 'expected "default"'),
        ('{"nodes": {"a": 8}}', "a: error: expected a precision such as a16w8, got 8"),
        ('{"nodes": {"a": "a9w9"}}', "a: error: there is no precision a9w9"),
        ('{"default": "a9w9"}', "there is no precision a9w9"),
    ],
)
def test_mistakes_in_assignments_are_named(tmp_path: Path, text: str, message: str):
    path = tmp_path / "assignment.json"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_assignment(path)
    assert str(error.value).startswith(str(path)) and message in str(error.value)


def test_patterns():
    assert matches("stem/*", "stem/block/Conv") and matches("Conv_?", "Conv_1") and matches("a[0]", "a[0]")
    assert not matches("stem/*", "Stem/Conv")
    assert is_pattern("Conv_?") and not is_pattern("Conv_1")
