"""`intaglio-opt`: read IR, run passes, print IR.

The engineer's tool, on xDSL's driver class. Results go to stdout, everything else to stderr. Exit codes: 0 done,
1 an expected diagnostic did not come or an unexpected one did, 2 the input or the command line is wrong, 3 the
compiler is: a pass raised an exception or left IR that does not verify.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import traceback
from collections.abc import Collection, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn, cast

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp
from xdsl.ir import Attribute
from xdsl.xdsl_opt_main import xDSLOptMain

from intaglio.dialects.weights import WeightsAttr, dense_attr, register_weights_file
from intaglio.errors import UserError, suggestion
from intaglio.files import write_atomically
from intaglio.ir.context import make_context
from intaglio.ir.expectations import Diagnostic, mismatches, parse_expectations
from intaglio.ir.parsing import parse_module, read_text, register_weights_of
from intaglio.ir.printing import WEIGHTS_FILE, print_module, weights_in, write_weights_of
from intaglio.ir.verification import violations
from intaglio.passes.base import discover, get_pass, help_of, pass_modules
from intaglio.passes.manager import (
    ALL,
    CrashReproducer,
    Instrumentation,
    InvalidIRError,
    PassManager,
    PrintIR,
    Timing,
)
from intaglio.passes.pipeline import parse_pipeline
from intaglio.remarks import collecting

_SEPARATOR = re.compile(r"^// -----.*$", flags=re.MULTILINE)

OK, CHECK_FAILED, INPUT_WRONG, COMPILER_WRONG = range(4)


class OptMain(xDSLOptMain):
    """The driver. The constructor reads the command line, `execute` does the work.

    Args:
        arguments: the command line without the program's name.
        standard_input: the text to read when no file is named; by default that of the process.

    Raises:
        UserError: the pipeline is wrong.
        SystemExit: the command line is wrong, or asked for help only.
    """

    def __init__(self, arguments: Sequence[str], standard_input: str | None = None) -> None:
        self._standard_input = standard_input
        super().__init__("Read IR, run passes, print IR.", arguments)

    def register_all_dialects(self) -> None:
        """Take our context instead of xDSL's dialects."""
        self.ctx = make_context()

    def register_all_frontends(self) -> None:
        """MLIR text is the one input format."""
        self.available_frontends["mlir"] = self._refuse_frontend

    @staticmethod
    def _refuse_frontend(_: Any) -> NoReturn:
        raise NotImplementedError("input is read by OptMain.execute")

    def register_all_passes(self) -> None:
        """Offer the passes that discovery finds; each is imported when it is used."""
        for name in pass_modules():
            self.register_pass(name, lambda name=name: get_pass(name))

    def register_all_targets(self) -> None:
        """MLIR text is the one output format."""
        self.available_targets["mlir"] = lambda module, stream: print(print_module(module), file=stream)

    def register_all_arguments(self, arg_parser: argparse.ArgumentParser) -> None:
        """Declare the command line; xDSL's `--disable-verify` is left out since it switches checks off for good."""
        arg_parser.prog = "intaglio-opt"
        arg_parser.usage = "intaglio-opt [FILE] [-p PIPELINE] [-o FILE] [options]"
        arg_parser.set_defaults(target="mlir", disable_verify=False, syntax_highlight=False)
        add = arg_parser.add_argument
        add("input_file", nargs="?", metavar="FILE", help="MLIR text; - or nothing for standard input")
        add("-o", "--output-file", metavar="FILE", help="write the result here, its weights beside it")
        add("-p", "--passes", default="", metavar="PIPELINE", help="pass names with options: a,b{x=1 y},c")
        add("-v", "--version", action="version", version=f"intaglio {version('intaglio')}")

        group = arg_parser.add_argument_group("passes")
        add = group.add_argument
        add("--list-passes", action="store_true", help="list all passes and what they do")
        add("--show-pass", metavar="NAME", help="show the description and options of a pass")
        add(
            "--verify-each",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="verify the IR, dominance included, after every pass",
        )
        add("--timing", action="store_true", help="print seconds and ops of every pass")
        add("--crash-reproducer", metavar="FILE", help="write the IR before a failing pass and its command line here")

        group = arg_parser.add_argument_group("reading")
        add = group.add_argument
        add("--weights", action="append", default=[], metavar="FILE", help="a safetensors file with weights")
        add("--split-input-file", action="store_true", help="treat parts between lines '// -----' as files")
        add("--verify-diagnostics", action="store_true", help="check errors against // expected-error {{text}}")
        add("--allow-unregistered-dialect", action="store_true", help="accept ops of unknown dialects")
        add("--no-implicit-module", action="store_true", help="do not put top-level ops into a module")

        group = arg_parser.add_argument_group("printing")
        add = group.add_argument
        add("--print-op-generic", action="store_true", help="print ops in the generic form")
        add(
            "--print-locations",
            choices=("names", "all", "none"),
            default="names",
            help="print ONNX names (the default), file positions too, or nothing",
        )
        add("--print-aliases", action=argparse.BooleanOptionalAction, default=True, help="write long types once")
        add("--inline-weights", action="store_true", help="print weights as dense constants instead of digests")
        add("--print-ir-before", metavar="NAMES", help="print the IR before these passes, to standard error")
        add("--print-ir-after", metavar="NAMES", help="print the IR after these passes")
        add("--print-ir-before-all", action="store_true", help="print the IR before every pass")
        add("--print-ir-after-all", action="store_true", help="print the IR after every pass")
        add("--print-ir-after-change", action="store_true", help="print the IR after passes that changed it")
        add("--print-ir-tree-dir", metavar="DIR", help="print the IR to numbered files here")
        add("--debug", action="store_true", help="show Python tracebacks of errors")

    def setup_pipeline(self) -> None:
        """Read the pipeline."""
        self._passes = parse_pipeline(self.args.passes)

    def execute(self) -> int:
        """Do what the command line says and return the exit code."""
        if self.args.list_passes:
            return self._list_passes()
        if self.args.show_pass is not None:
            return self._show_pass(self.args.show_pass)
        for path in self.args.weights:
            register_weights_file(path)
        is_file = self.args.input_file not in {None, "-"}
        self._file_name = self.args.input_file if is_file else "<stdin>"
        text = read_text(self.args.input_file) if is_file else self._read_standard_input()
        outputs: list[str] = []
        code = OK
        for chunk, line_offset in self._chunks(text):
            chunk_code, module = self._run_chunk(chunk, line_offset)
            code = max(code, chunk_code)
            if module is not None:
                outputs.append(self._finished_text(module))
        self._write("// -----\n".join(outputs), code)
        return code

    def _read_standard_input(self) -> str:
        if self._standard_input is not None:
            return self._standard_input
        try:
            return sys.stdin.buffer.read().decode()
        except UnicodeDecodeError as error:
            raise UserError("not a text file", where="<stdin>", hint="expected MLIR text") from error

    def _chunks(self, text: str) -> list[tuple[str, int]]:
        """Return the parts of the input, each with the number of lines before it."""
        if not self.args.split_input_file:
            return [(text, 0)]
        chunks: list[tuple[str, int]] = []
        line = start = 0
        for match in _SEPARATOR.finditer(text):
            chunks.append((text[start : match.start()], line))
            line += text.count("\n", start, match.end())
            start = match.end()
        chunks.append((text[start:], line))
        return [(chunk, line) for chunk, line in chunks if chunk.strip()]

    def _run_chunk(self, text: str, line_offset: int) -> tuple[int, ModuleOp | None]:
        """Process one part; return its exit code, and its module if it is to be printed."""
        errors: list[UserError] = []
        with collecting() as remarks:
            module = self._parse_and_transform(text, line_offset, errors)
        if not self.args.verify_diagnostics:
            for found in remarks:
                print(found, file=sys.stderr)
            for error in errors:
                self._report(error)
            return (INPUT_WRONG if errors else OK), module
        expectations = parse_expectations(text, self._file_name, line_offset)
        diagnostics = [*map(Diagnostic.of, errors), *map(Diagnostic.of_remark, remarks)]
        failures = mismatches(expectations, diagnostics, self._file_name)
        for failure in failures:
            print(failure, file=sys.stderr)
        return (CHECK_FAILED if failures else OK), module

    def _parse_and_transform(self, text: str, line_offset: int, errors: list[UserError]) -> ModuleOp | None:
        """Return the module after all passes; or None, with the reasons added to `errors`."""
        try:
            self.ctx.allow_unregistered = self.args.allow_unregistered_dialect
            module = parse_module(
                text,
                self._file_name,
                self.ctx,
                verify=False,
                line_offset=line_offset,
                implicit_module=not self.args.no_implicit_module,
            )
            errors.extend(violation.as_error() for violation in violations(module))
            if errors:
                return None
            folder = Path(self.args.input_file).parent if self.args.input_file else Path()
            register_weights_of(module, folder, where=self._file_name)
            PassManager(self._passes, self.args.verify_each, self._instrumentations()).run(self.ctx, module)
        except UserError as error:
            errors.append(error)
            return None
        return module

    def _instrumentations(self) -> list[Instrumentation]:
        args = self.args
        found: list[Instrumentation] = []
        before = ALL if args.print_ir_before_all else self._names(args.print_ir_before)
        after_all = args.print_ir_after_all or args.print_ir_after_change
        after = ALL if after_all else self._names(args.print_ir_after)
        if args.print_ir_tree_dir and not before and not after:
            after = ALL
        if before or after:
            folder = Path(args.print_ir_tree_dir) if args.print_ir_tree_dir else None
            found.append(PrintIR(sys.stderr, before, after, args.print_ir_after_change, folder))
        if args.timing:
            found.append(Timing(sys.stderr))
        if args.crash_reproducer:
            found.append(CrashReproducer(Path(args.crash_reproducer)))
        return found

    @staticmethod
    def _names(text: str | None) -> Collection[str]:
        names = frozenset(text.split(",")) if text else frozenset[str]()
        for name in names:
            _check_pass_name(name)
        return names

    def _finished_text(self, module: ModuleOp) -> str:
        if self.args.inline_weights:
            inline_weights(module)
        elif self.args.output_file and all(weights.is_available() for weights in weights_in(module)):
            # Without the values the text keeps naming the file it named before.
            write_weights_of(module, Path(self.args.output_file))
        return print_module(
            module,
            locations=self.args.print_locations,
            aliases=self.args.print_aliases,
            generic=self.args.print_op_generic,
        )

    def _write(self, text: str, code: int) -> None:
        if self.args.output_file is None:
            sys.stdout.write(text)
        elif code == OK:
            write_atomically(self.args.output_file, text)

    def _report(self, error: UserError) -> None:
        if self.args.debug:
            traceback.print_exception(error)
        print(error, file=sys.stderr)

    @staticmethod
    def _list_passes() -> int:
        passes = discover()
        width = max((len(name) for name in passes), default=0)
        for name, pass_class in passes.items():
            print(f"{name:{width}}  {help_of(pass_class).summary}")
        return OK

    @staticmethod
    def _show_pass(name: str) -> int:
        _check_pass_name(name)
        print(help_of(get_pass(name)))
        return OK


def _check_pass_name(name: str) -> None:
    if name not in pass_modules():
        hint = suggestion(name, pass_modules()) or "--list-passes shows all"
        raise UserError(f"there is no pass {name!r}", where="command line", hint=hint)


def inline_weights(module: ModuleOp) -> None:
    """Replace every `#nn.weights` of a module by a `dense` constant, which is hexadecimal when it is long.

    Raises:
        UserError: values are not available.
    """
    module.attributes.pop(WEIGHTS_FILE, None)
    for op in module.walk():
        for attributes in (op.properties, op.attributes):
            attributes.update({name: _inlined(attribute) for name, attribute in attributes.items()})


def _inlined(attribute: Attribute) -> Attribute:
    if isinstance(attribute, WeightsAttr):
        return dense_attr(attribute.array(), attribute.type.element_type)
    if isinstance(attribute, ArrayAttr):
        return ArrayAttr([_inlined(item) for item in cast("ArrayAttr[Attribute]", attribute)])
    if isinstance(attribute, DictionaryAttr):
        return DictionaryAttr({name: _inlined(item) for name, item in attribute.data.items()})
    return attribute


def _main(arguments: Sequence[str], standard_input: str | None) -> int:
    debug = "--debug" in arguments
    try:
        return OptMain(arguments, standard_input).execute()
    except UserError as error:
        if debug:
            traceback.print_exception(error)
        print(f"intaglio-opt: {error}" if error.where is None else error, file=sys.stderr)
        return INPUT_WRONG
    except InvalidIRError as error:
        print(error, file=sys.stderr)
        return COMPILER_WRONG
    except SystemExit as exit_request:
        return exit_request.code if isinstance(exit_request.code, int) else OK
    except Exception as error:  # a defect of the compiler must not end in a traceback unless asked for
        if debug:
            traceback.print_exception(error)
        notes = "".join(f"\n  note: {note}" for note in getattr(error, "__notes__", [])[:2])
        print(
            f"intaglio-opt: internal error: {type(error).__name__}: {error}{notes}\n"
            "  hint: --debug shows the traceback, --crash-reproducer FILE what to report",
            file=sys.stderr,
        )
        return COMPILER_WRONG


def run_opt(args: Sequence[str], stdin: str = "") -> tuple[int, str, str]:
    """Run `intaglio-opt` in this process.

    Args:
        args: the command line without the program's name.
        stdin: the text of standard input.

    Returns:
        The exit code, and what it wrote to standard output and standard error.
    """
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = _main(list(args), stdin)
    return code, out.getvalue(), err.getvalue()


def main() -> NoReturn:
    """Run the command line of the process."""
    sys.exit(_main(sys.argv[1:], None))


if __name__ == "__main__":
    main()
