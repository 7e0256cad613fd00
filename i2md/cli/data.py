"""The command line's commands on clips: prepare, info and join."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser, Namespace


def prepare_arguments(parser: ArgumentParser) -> None:
    """The arguments of `prepare`."""
    parser.add_argument(
        "format",
        help="ntu-rgbd, pku-mmd, kinetics-skeleton, utd-mhad, msr-action3d, nw-ucla, utkinect-action3d,"
        " sbu-interaction, arrays, cmd-arrays, ctr-gcn, pyskl, synthetic or a plug-in's",
    )
    parser.add_argument("source", help="folder, zip or file of recordings, or its URL (any word for synthetic)")
    parser.add_argument("clips", help="folder to write, or its URL")
    parser.add_argument("--preset", type=str | None, default=None, help="preparation; by default the format's own")
    parser.add_argument("--strict", action="store_true", help="stop at the first recording that can't be read")
    parser.add_argument("--overwrite", action="store_true", help="replace the clips that are there")
    parser.add_argument("--jobs", type=int | None, default=None, help="processes; by default all cores")
    parser.add_argument(
        "--precision", default="float32", help="float32, or float16 for half the size (default: float32)"
    )
    cluster_argument(parser)
    parser.add_argument("--options", type=dict[str, Any], default={}, help="the reader's, as --options.NAME VALUE")


def cluster_argument(parser: ArgumentParser) -> None:
    """The option that hands the work to a Ray cluster."""
    parser.add_argument(
        "--cluster", type=str | None, default=None, help="a Ray cluster that does it: auto, local or ray://HOST:PORT"
    )


def prepare(args: Namespace) -> Any:
    """Call `prepare`."""
    from i2md.data.info import info
    from i2md.data.prepare import prepare

    clips = prepare(
        args.format,
        args.source,
        args.clips,
        args.preset,
        args.strict,
        args.overwrite,
        args.jobs,
        args.precision,
        args.cluster,
        **args.options,
    )
    return info(clips)


def info_arguments(parser: ArgumentParser) -> None:
    """The arguments of `info`."""
    parser.add_argument("clips", help="folder of clips")


def info(args: Namespace) -> Any:
    """Call `info`."""
    from i2md.data.info import info
    from i2md.data.store import open_clips

    return info(open_clips(args.clips))


def show_info(data: dict[str, Any]) -> str:
    """What `info` found, a line each."""
    plain = {k: v for k, v in data.items() if k not in ("classes", "warnings", "report")}
    lines = [f"{name + ':':13}{words(value)}" for name, value in plain.items()]
    mended = {name.replace("_", " "): n for name, n in data["report"].items() if isinstance(n, int) and n}
    mended |= {f"not read, {reason}": n for reason, n in data["report"].get("not_read", {}).items() if n}
    lines.append(f"prepared:    {words(mended) or 'nothing to mend'}")
    lines.append(f"classes:     {len(data['classes'])}")
    lines += [f"  {count:6} {name}" for name, count in data["classes"].items()]
    lines += [f"warning: {text}" for text in data["warnings"]]
    return "\n".join(lines)


def words(value: Any) -> str:
    """A value as it is read, nested ones in brackets."""
    if isinstance(value, dict):
        return ", ".join(
            f"{k} {words(v)}" if not isinstance(v, dict) else f"{k} ({words(v)})" for k, v in value.items()
        )
    return str(value)


def join_arguments(parser: ArgumentParser) -> None:
    """The arguments of `join`."""
    parser.add_argument("out", help="folder of clips to write")
    parser.add_argument("clips", nargs="+", help="folders of clips of one layout and preparation")
    parser.add_argument("--overwrite", action="store_true", help="replace the clips that are there")


def join(args: Namespace) -> Any:
    """Call `join`."""
    from i2md.data import info as about
    from i2md.data import join as joining

    return about.info(joining.join(args.out, args.clips, args.overwrite))


# A command each: its help, its arguments, what it calls, and how the result reads.
PREPARE = ("Read recordings and write clips.", prepare_arguments, prepare, show_info)
INFO = ("Show what a folder of clips holds.", info_arguments, info, show_info)
JOIN = ("Make one folder of several folders of clips.", join_arguments, join, show_info)
