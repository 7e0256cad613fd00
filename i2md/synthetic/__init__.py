"""Writers of generated folders in the publishers' formats, of any size and with stated irregularities.

python -m i2md.synthetic ntu-rgbd FOLDER --clips 5000
"""

from i2md.synthetic.ntu_rgbd import NtuIrregularities, Written, write_ntu
from i2md.synthetic.pku_mmd import PkuIrregularities, WrittenPku, write_pku

__all__ = ["NtuIrregularities", "PkuIrregularities", "Written", "WrittenPku", "write_ntu", "write_pku"]
