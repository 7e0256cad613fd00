"""Synthetic motion: a reader of synthetic recordings, and writers of folders in the publishers' formats.

It serves tests, demos and benchmarks without a data set. The reader is the format `synthetic` of `i2md prepare`
(i2md.synthetic.reader); the writers make folders of any size with given fractions of irregular files:

    python -m i2md.synthetic ntu-rgbd FOLDER --clips 5000
"""

from i2md.synthetic.ntu_rgbd import NtuIrregularities, WrittenNtu, write_ntu
from i2md.synthetic.pku_mmd import PkuIrregularities, WrittenPku, write_pku

__all__ = ["NtuIrregularities", "PkuIrregularities", "WrittenNtu", "WrittenPku", "write_ntu", "write_pku"]
