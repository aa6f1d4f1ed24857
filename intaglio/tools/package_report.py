"""What a package holds and costs, as JSON and as tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

from intaglio.passes.partition.placement import HOST
from intaglio.runtime.package import Package
from intaglio.runtime.profile import PackageProfile
from intaglio.runtime.session import Session
from intaglio.targets.assembler import disassemble
from intaglio.tools.tables import print_table

Report = dict[str, Any]


def summary(package: Package) -> Report:
    """What a package holds, in a few numbers."""
    host = [place for place in package.placement if place.device == HOST]
    return {
        "model": package.model,
        "target": package.target.name if package.target else HOST,
        "regions": len(package.regions),
        "batch": package.batch,
        "boundaries": {
            "tensors": package.boundaries.tensors,
            "bytes": package.boundaries.bytes,
            "cycles": package.boundaries.cycles,
            "regions": [vars(boundary) for boundary in package.boundaries.regions],
        },
        "instructions": sum(region.instructions for region in package.regions),
        "constant_bytes": sum(len(region.constants) for region in package.regions),
        "scratchpad": scratchpad_of(package),
        "host_operations": dict(sorted(Counter(str(place.operation) for place in host).items())),
    }


def _boundaries(report: Report) -> str:
    if not report["regions"]:
        return "none"
    cost = f"{report['cycles']:,} cycles with launches and casts"
    return f"{report['tensors']:,} tensors of {report['bytes']:,} bytes, {cost}"


def scratchpad_of(package: Package) -> Report:
    """For each region the bytes of the scratchpad that it uses, and that are live at once at most."""
    return {
        region.name: {"bytes": region.scratchpad_bytes, "live_bytes": region.scratchpad_live_bytes}
        for region in package.regions
    }


def scratchpad_text(regions: Report) -> str:
    """The region that uses the most, beside the least that any allocation takes."""
    if not regions:
        return "not used"
    largest = max(regions.values(), key=lambda region: region["bytes"])
    used, live = largest["bytes"], largest["live_bytes"]
    return f"{used:,} bytes, of which {live:,} are live at once: {used / max(live, 1) - 1:.1%} above the lower bound"


def print_summary(report: Report) -> None:
    """Print what `summary` gave, with the file it is in."""
    on_host = ", ".join(f"{count} {operation}" for operation, count in report["host_operations"].items())
    rows = [
        ("package", report["output"]),
        ("target", report["target"]),
        ("batch", f"{report['batch']:,}"),
        ("accelerator regions", f"{report['regions']:,}"),
        ("boundaries", _boundaries(report["boundaries"])),
        ("instructions", f"{report['instructions']:,}"),
        ("constants", f"{report['constant_bytes']:,} bytes"),
        ("scratchpad", scratchpad_text(report["scratchpad"])),
        ("on the host", on_host or "nothing"),
    ]
    print_table(None, ("", ""), rows)


def report_of_package(package: Package, disassembly: bool) -> Report:
    """All that `intaglio inspect` shows of a package.

    Raises:
        UserError: an instruction stream breaks a rule of the accelerator.
    """
    session = Session(package)
    profile = session.profile()
    report: Report = {
        "kind": "package",
        **summary(package),
        "cycles": profile.cycles,
        "mac_utilization": profile.mac_utilization,
        "dram_bytes": profile.dram_bytes,
        "inputs": [vars(tensor) for tensor in package.inputs],
        "outputs": [vars(tensor) for tensor in package.outputs],
        "host_library_bytes": len(package.host_library),
        "host_baseline": package.host_baseline,
        "versions": dict(package.versions),
        "accelerator_regions": [_region(session, index) for index in range(len(package.regions))],
    }
    if disassembly:
        report["disassembly"] = {
            region.name: disassemble(region.words, region.debug).splitlines() for region in package.regions
        }
    return report


def _region(session: Session, index: int) -> Report:
    region, profile = session.package.regions[index], session.programs[index].profile()
    return {
        "name": region.name,
        "inputs": [list(shape) for shape in region.inputs],
        "outputs": [list(shape) for shape in region.outputs],
        "instructions": region.instructions,
        "constant_bytes": len(region.constants),
        "arena_bytes": region.arena_bytes,
        "scratchpad_bytes": region.scratchpad_bytes,
        "scratchpad_live_bytes": region.scratchpad_live_bytes,
        "cycles": profile.cycles,
        "mac_utilization": profile.mac_utilization,
        "dram_bytes": sum(profile.dram_bytes.values()),
    }


def print_package(report: Report) -> None:
    """Print what `report_of_package` gave."""
    tensors = [
        (label, t["name"], t["dtype"], list(t["shape"])) for label in ("inputs", "outputs") for t in report[label]
    ]
    print_table(
        f"{report['model']}, compiled for {report['target']}",
        ("", "tensor", "type", "shape"),
        [(label.removesuffix("s"), name, dtype, str(shape)) for label, name, dtype, shape in tensors],
    )
    columns = ("name", "instructions", "constant_bytes", "arena_bytes", "cycles", "mac_utilization", "dram_bytes")
    if report["accelerator_regions"]:
        rows = [[region[column] for column in columns] for region in report["accelerator_regions"]]
        print_table("\nAccelerator regions", [column.replace("_", " ") for column in columns], rows)
    print_table(
        f"\nHost: {report['host_library_bytes']:,} bytes for {report['host_baseline']}",
        ("operation", "count"),
        list(report["host_operations"].items()),
    )
    if "placement" in report:
        print_placement(report)
    print_disassembly(report)


def print_disassembly(report: Report) -> None:
    """Print the instructions of each region, if they are in a report."""
    for name, lines in report.get("disassembly", {}).items():
        print(f"\n{name}:")
        print("\n".join(lines))


def print_placement(report: Report) -> None:
    """Print where nodes of an ONNX model, or the operations of other files, run."""
    title = f"\nPlacement, by {report['placement_basis']}"
    if "nodes" in report:
        print_table(title, ("node", "operator", "runs as", "device", "reason"), list(map(_node_row, report["nodes"])))
        return
    print_table(
        title,
        ("ONNX name", "operation", "device", "reason"),
        [(place["name"], place["operation"], place["device"], place["reason"]) for place in report["placement"]],
    )


def _node_row(node: Report) -> tuple[str, ...]:
    runs_as = f"part of {node['within']}" if node["within"] is not None else ", ".join(node["operations"])
    devices, reasons = ", ".join(node["devices"]), "; ".join(node["reasons"])
    return node["name"], node["operator"], runs_as or "nothing is left of it", devices, reasons


def print_profile(profile: PackageProfile) -> None:
    """Print the layers and the sum."""
    columns = ("layer", "region", "cycles", "share", "MACs", "utilization", "DRAM bytes", "instructions")
    rows: list[tuple[object, ...]] = [
        (
            layer.name or "(unnamed)",
            layer.region,
            layer.cycles,
            layer.cycles / profile.cycles if profile.cycles else 0.0,
            layer.macs,
            layer.mac_utilization,
            layer.dram_bytes,
            layer.instructions,
        )
        for layer in profile.layers
    ]
    if profile.batch > 1:
        print(
            f"batch of {profile.batch}: {profile.cycles_per_sample:,.0f} cycles a sample; a weight that is read serves "
            f"{profile.achieved_batch:.2f} samples"
        )
    total = (profile.cycles, 1.0, profile.macs, profile.mac_utilization, profile.dram_bytes, profile.instructions)
    rows.append(("total", f"{profile.regions} on {profile.target}", *total))
    print_table(None, columns, rows)
