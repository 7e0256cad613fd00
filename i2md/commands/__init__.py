"""The commands: what `i2md NAME` does, as a keyword-only function of the same name.

The command line derives its parser from these functions: a parameter without a default is a positional argument, any
other an option, the text under `Args` its help. Each function imports what it needs when it is called, so that
importing this package, and `i2md --help`, load neither torch nor pyarrow.
"""

from i2md.commands.catalogue import layouts, recipes
from i2md.commands.classifying import fit, predict, stream
from i2md.commands.data import convert, info, join, prepare, split
from i2md.commands.deploying import export
from i2md.commands.evaluation import embed, evaluate, report
from i2md.commands.experiments import reproduce, sweep
from i2md.commands.exploring import explore
from i2md.commands.finding import cluster, search, suggest
from i2md.commands.pretraining import import_cmd, pretrain
from i2md.commands.viewing import view
from i2md.commands.windows import windows

__all__ = [
    "cluster",
    "convert",
    "embed",
    "evaluate",
    "explore",
    "export",
    "fit",
    "import_cmd",
    "info",
    "join",
    "layouts",
    "predict",
    "prepare",
    "pretrain",
    "recipes",
    "report",
    "reproduce",
    "search",
    "split",
    "stream",
    "suggest",
    "sweep",
    "view",
    "windows",
]
