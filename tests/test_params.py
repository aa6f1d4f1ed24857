"""Parameters of quantization: defaults, immutability, refusals, and TOML."""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.assignment import read_assignment
from intaglio.errors import UserError
from intaglio.params import (
    BiasCorrectionType,
    CalibrationMethod,
    HistogramMSEMethod,
    HistogramPercentileMethod,
    MinMaxMethod,
    MovingAverageMinMaxMethod,
    NodeConfig,
    Precision,
    QuantizationParams,
    RequantizationMode,
    bfloat16_scheme,
    default_calibration,
    default_quantization,
    int16_quantization,
    quantization_scheme,
)
from intaglio.params_file import params_text, parse_params, read_params, read_toml, write_params
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.tools.calibrating import CalibrateOptions


def test_defaults_are_asymmetric_activations_and_symmetric_weights_per_channel():
    assert default_quantization.activation_quantization_scheme == quantization_scheme(True, False, bits=8)
    assert default_quantization.weight_quantization_scheme == quantization_scheme(False, True, bits=8)
    assert default_quantization.requantization_mode == "shift"
    assert default_quantization.precision == Precision.INT8


def test_everything_calibrates_by_mse_by_default():
    """AFE's default quantization does; nothing here has another default of its own."""
    methods = [default_calibration(), default_quantization.calibration_method, QuantizationParams().calibration_method]
    methods += [CalibrateOptions(data="x.npz").method, CalibrationMethod.from_str(InsertObservers().method)]
    assert set(methods) == {HistogramMSEMethod()}


def test_int16_has_wide_activations_and_narrow_weights():
    assert int16_quantization.activation_quantization_scheme == quantization_scheme(True, False, bits=16)
    assert int16_quantization.weight_quantization_scheme == quantization_scheme(False, True, bits=8)
    assert str(int16_quantization.precision) == "a16w8"


def test_builders_leave_the_original_alone():
    symmetric = quantization_scheme(asymmetric=False, per_channel=False)
    params = QuantizationParams()
    changed = params.with_activation_quantization(symmetric).with_weight_quantization(symmetric)
    assert changed.activation_quantization_scheme == changed.weight_quantization_scheme == symmetric
    assert params == QuantizationParams()
    with pytest.raises(dataclasses.FrozenInstanceError):
        params.calibration_method = MinMaxMethod()  # type: ignore[misc]


def test_each_builder_changes_its_field():
    params = (
        QuantizationParams()
        .with_requantization_mode("tflite")
        .with_bias_correction()
        .with_channel_equalization()
        .with_smooth_quant(alpha=None)
        .with_split_tensors()
        .with_round_weights()
        .with_unquantized_nodes({"a", "b"})
        .with_unquantized_nodes({"c"})
        .with_custom_quantization_configs({"fc": {"output_int32": True, "precision": "a16w8"}})
        .with_quantization_type("any")
    )
    assert params == QuantizationParams(
        requantization_mode=RequantizationMode.TFLITE,
        bias_correction=BiasCorrectionType.REGULAR,
        channel_equalization=True,
        smooth_quant=True,
        smooth_quant_alpha=None,
        split_tensors=True,
        round_weights=True,
        unquantized_nodes=frozenset({"c"}),
        custom_quantization_configs={"fc": NodeConfig(Precision.INT16, output_int32=True)},
        quantization_type=params.quantization_type,
    )
    assert params.node_configs["c"] == NodeConfig(Precision.FLOAT)
    assert params.with_bias_correction(False).bias_correction == "none"
    assert params.with_bias_correction("iterative").bias_correction is BiasCorrectionType.ITERATIVE
    assert len({params, params.with_smooth_quant(False), default_quantization}) == 3


def test_mappings_handed_in_are_copied():
    configs: dict[str, Any] = {"fc": {"output_int32": True}}
    params = default_quantization.with_custom_quantization_configs(configs)
    configs["other"] = {}
    assert list(params.custom_quantization_configs) == ["fc"]


def test_bfloat16_is_for_activations_and_weights_together():
    params = default_quantization.with_activation_quantization(bfloat16_scheme())
    assert params == default_quantization.with_precision("bf16")
    assert params.precision.is_bfloat16
    assert params.with_precision("a8w8") == default_quantization
    with pytest.raises(UserError, match="bfloat16 activations need bfloat16 weights"):
        default_quantization.with_weight_quantization(bfloat16_scheme())


@pytest.mark.parametrize("name", ["min_max", "MIN_MAX"])
def test_methods_are_found_by_name(name: str):
    method = CalibrationMethod.from_str(name)
    assert method == MinMaxMethod()
    assert QuantizationParams().with_calibration(method).calibration_method is method


def test_unknown_method_lists_the_supported_ones():
    with pytest.raises(UserError, match="no calibration method 'kl'") as error:
        CalibrationMethod.from_str("kl")
    assert "min_max" in str(error.value)


@pytest.mark.parametrize("bits", [0, 7, 32])
def test_other_widths_are_refused(bits: int):
    with pytest.raises(UserError, match=f"{bits} bits"):
        quantization_scheme(True, False, bits=bits)


def test_unsupported_schemes_are_refused():
    with pytest.raises(UserError, match="per channel"):
        QuantizationParams().with_activation_quantization(quantization_scheme(True, True))
    with pytest.raises(UserError, match="asymmetrically"):
        QuantizationParams().with_weight_quantization(quantization_scheme(True, False))
    with pytest.raises(UserError, match="to 4 bits"):
        QuantizationParams().with_activation_quantization(quantization_scheme(True, False, bits=4))
    with pytest.raises(UserError, match="weights of 16 bits need activations as wide"):
        QuantizationParams().with_weight_quantization(quantization_scheme(False, True, bits=16))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda params: params.with_requantization_mode("gemmlowp"), "no requantization mode 'gemmlowp'"),
        (lambda params: params.with_bias_correction("always"), "no bias correction 'always'"),
        (lambda params: params.with_quantization_type("lazy"), "no quantization type 'lazy'"),
        (
            lambda params: params.with_precision("bf16").with_quantization_type("dynamic"),
            "of 8 bits, got the precision",
        ),
        (lambda params: params.with_smooth_quant(alpha=1.5), "smooth_quant_alpha=1.5 is out of range"),
        (lambda params: params.with_precision("float"), "not quantized"),
        (lambda params: params.with_custom_quantization_configs({"a": {"outputs": True}}), "no setting 'outputs'"),
        (lambda params: params.with_custom_quantization_configs({"a": {"output_int32": 1}}), "true or false, got 1"),
        (lambda params: params.with_custom_quantization_configs({"a": {"precision": 8}}), "a precision such as"),
    ],
)
def test_choices_that_do_not_exist_are_refused(call: Any, message: str):
    with pytest.raises(UserError, match=message):
        call(default_quantization)


# TOML.

NAMES = st.text(min_size=1, max_size=12).filter(lambda name: "\x00" not in name and name.isprintable())
CONFIGS = st.builds(
    NodeConfig,
    precision=st.sampled_from([None, Precision.INT8, Precision.BF16, Precision.parse("a8w4")]),
    output_int32=st.booleans(),
    asymmetric=st.sampled_from([None, True, False]),
    per_channel=st.sampled_from([None, True, False]),
)


@given(
    precision=st.sampled_from(["a8w8", "a8w4", "a16w8", "a16w16", "bf16"]),
    method=st.sampled_from([MinMaxMethod(), HistogramMSEMethod(64), HistogramPercentileMethod(99.99)]),
    nodes=st.frozensets(NAMES, max_size=3),
    configs=st.dictionaries(NAMES, CONFIGS, max_size=3),
    alpha=st.none() | st.floats(0, 1),
    mode=st.sampled_from(RequantizationMode),
    correction=st.sampled_from(BiasCorrectionType),
    switches=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)
def test_what_is_written_reads_back(
    precision: str, method: Any, nodes: Any, configs: Any, alpha: Any, mode: Any, correction: Any, switches: Any
):
    params = (
        default_quantization.with_precision(precision)
        .with_calibration(method)
        .with_unquantized_nodes(nodes)
        .with_custom_quantization_configs(configs)
        .with_requantization_mode(mode)
        .with_bias_correction(correction)
        .with_smooth_quant(switches[0], alpha)
        .with_channel_equalization(switches[1])
        .with_split_tensors(switches[2])
        .with_round_weights(switches[3])
    )
    assert parse_params(tomllib.loads(params_text(params))) == params


def test_files_are_read_and_written(tmp_path: Path):
    path = tmp_path / "params.toml"
    path.write_text(
        'precision = "a16w8"\ncalibration_method = "moving_average{smoothing=0.5}"\nsmooth_quant_alpha = "search"\n'
        'unquantized_nodes = ["head/*"]\n[weight_quantization_scheme]\nper_channel = false\n'
        '[custom_quantization_configs."logits"]\noutput_int32 = true\n'
    )
    params = read_params(path)
    assert params.precision == Precision.INT16
    assert params.calibration_method == MovingAverageMinMaxMethod(0.5)
    assert params.smooth_quant_alpha is None
    assert not params.weight_quantization_scheme.per_channel
    assert params.custom_quantization_configs == {"logits": NodeConfig(output_int32=True)}
    write_params(path, params)
    assert read_params(path) == params


def test_the_files_in_the_documentation_are_right(tmp_path: Path):
    text = (Path(__file__).parent.parent / "docs" / "quantization.md").read_text(encoding="utf-8")
    (toml,), (assignment,) = (
        re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE) for kind in ("toml", "json")
    )
    (tmp_path / "params.toml").write_text(toml)
    params = read_params(tmp_path / "params.toml")
    assert params.precision == Precision.INT16 and params.smooth_quant_alpha is None
    assert params.custom_quantization_configs == {"logits/Gemm": NodeConfig(output_int32=True)}
    (tmp_path / "assignment.json").write_text(assignment)
    found = read_assignment(tmp_path / "assignment.json")
    assert found.nodes["logits/Gemm"] == NodeConfig(Precision.INT8, output_int32=True)


def test_an_empty_file_is_the_default(tmp_path: Path):
    path = tmp_path / "params.toml"
    path.write_text("")
    assert read_params(path) == default_quantization


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channel_equalisation = true", "no parameter 'channel_equalisation'.*did you mean channel_equalization"),
        ("channel_equalization = 1", "channel_equalization must be true or false, got 1"),
        ("unquantized_nodes = [1]", "must be a list of names"),
        ('precision = "a4w4"', "no precision a4w4"),
        ("smooth_quant_alpha = true", "must be a number or text, got True"),
        ('smooth_quant_alpha = "most"', "must be a number or 'search'"),
        ("custom_quantization_configs.fc = 3", "settings of 'fc' must be a table"),
        ("[custom_quantization_configs.fc]\noutput = true", "fc: error: nodes have no setting 'output'"),
        ("[weight_quantization_scheme]\nwidth = 8", "weight_quantization_scheme: error: a scheme has no setting"),
        ('calibration_method = "best"', "no calibration method 'best'"),
        ("= 3", "not TOML"),
    ],
)
def test_mistakes_in_files_are_named(tmp_path: Path, text: str, message: str):
    path = tmp_path / "params.toml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_params(path)
    assert str(error.value).startswith(str(path))
    assert re.search(message, str(error.value), re.DOTALL)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="cannot read the file") as error:
        read_toml(tmp_path / "none.toml")
    assert error.value.where == str(tmp_path / "none.toml")
