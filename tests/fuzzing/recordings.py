"""The smallest valid files of every reader, and what `prepare` does with them."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pose_files
import pyarrow as pa
import pyarrow.parquet as pq
from fuzzing.campaign import Target
from fuzzing.mutations import npy_bytes, zip_bytes
from scipy.io import savemat

from i2md.data.dataset import Dataset
from i2md.data.outcomes import SkippedRecording, prepare_each
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.skeletons import get_layout

# Options of targets whose files do not say everything themselves.
OPTIONS = {"kinect text dump": {"layout": "kinect-v1"}}
# Files that other libraries have written.
SAMPLES = Path(__file__).parents[1] / "samples"

_NTU_NAME = "S001C002P003R002A007"
_rng = np.random.default_rng(0)


def reader_targets() -> Iterator[Target]:
    """A target for each format, and for each form that its files may have."""
    for name, (format, path, files) in reader_files().items():
        options = OPTIONS.get(name, {})
        yield Target(name, files, _prepare(format, path, options), _read(format, path, options))


def _prepare(format: str, path: str, options: dict[str, Any]) -> Callable[[Path], list[str]]:
    def run(folder: Path) -> list[str]:
        target = folder.parent / "prepared"
        try:
            clips = prepare(format, folder / path, target, jobs=1, **options)
            assert sum(len(clip) for clip in clips) > 0
            report = clips.dataset.report
            return [*report["left_out_files"], *report["not_read"], *report.get("left_out_reasons", ())]
        finally:
            shutil.rmtree(target, ignore_errors=True)

    return run


def _read(format: str, path: str, options: dict[str, Any]) -> Callable[[Path], list[str]]:
    def run(folder: Path) -> list[str]:
        source = open_source(format, folder / path, **options)
        messages = [*source.left_out]
        for each in (source, source.untrimmed):
            if each is not None:
                preset = source.preset if each is source else "none"
                outcomes = prepare_each(each.read(), each.layout, preset)
                messages += [outcome.reason for outcome in outcomes if isinstance(outcome, SkippedRecording)]
        dataset = Dataset(source.name, source.layout, source.class_names, source.units, "none", source.splits)
        Dataset.from_json(dataset.to_json(), folder)
        return messages

    return run


@cache
def reader_files() -> dict[str, tuple[str, str, dict[str, bytes]]]:
    """The smallest valid files of each target: format, path to give within the folder, and files."""
    clip = _clip(6)
    arrays = {"positions": _rng.normal(size=(3, 5, 25, 3)).astype("f4"), "lengths": np.array([5, 4, 3])}
    arrays |= {
        "labels": np.array([0, 1, 1]),
        "class_names": np.array(["sit", "stand"]),
        "subjects": np.array([1, 2, 3]),
    }
    arrays |= {"names": np.array(["a", "b", "c"]), "split": np.array(["train", "train", "test"])}
    table = b"name,label,split,subject\na,sit,train,1\nsub/b,stand,test,2\n"
    folder = {"a.npy": npy_bytes(clip), "sub/b.npz": _npz(positions=clip[:, None]), "labels.csv": table}
    text = _numbers(_rng.normal(size=(4 * 20, 4)))
    ntu = _skeleton(frames=3)
    pku = {
        "skeleton/0002-L.txt": _numbers(_rng.normal(size=(8, 150))),
        "skeleton/0003-M.txt": _numbers(_rng.normal(size=(8, 150))),
        "label/0002-L.txt": b"8,1,4,2\n12,5,8,1\n",
        "label/0003-M.txt": b"1,0,7,2\n",
        "cross_subject.txt": b"Training videos:\n0002-L,\nValidataion videos:\n0003-M\n",
    }
    utk = {
        "joints_s01_e01.txt": _numbers(np.column_stack([np.arange(6), _rng.normal(size=(6, 60))])),
        "actionLabel.txt": b"s01_e01\nwalk: 1 3\ncarry: NaN NaN\npush: 3 5\n",
    }
    kinetics = {
        "train/aa.json": _kinetics("waving", 3),
        "val/bb.json": _kinetics("bowing", 1),
        "kinetics_train_label.json": _labels("aa", "waving", 3),
        "kinetics_val_label.json": _labels("bb", "bowing", 1),
    }
    sbu = np.column_stack([np.arange(1, 4), _rng.uniform(size=(3, 90))])
    msr = {"a01_s01_e01_skeleton3D.txt": text, "a02_s02_e01_skeleton3D.txt": text}
    return {
        **pose_targets(),
        "arrays of one .npy": ("arrays", "x.npy", {"x.npy": npy_bytes(arrays["positions"])}),
        "arrays of one .npz": ("arrays", "x.npz", {"x.npz": _npz(**arrays)}),
        "arrays of one compressed .npz": ("arrays", "x.npz", {"x.npz": _npz(np.savez_compressed, **arrays)}),
        "arrays of a folder": ("arrays", ".", folder),
        "arrays of a .zip": ("arrays", "x.zip", {"x.zip": zip_bytes(folder)}),
        "cmd-arrays": ("cmd-arrays", ".", _cmd()),
        "ctr-gcn": ("ctr-gcn", "x.npz", {"x.npz": _ctr_gcn()}),
        "kinetics-skeleton": ("kinetics-skeleton", ".", kinetics),
        "msr-action3d": ("msr-action3d", ".", msr),
        "msr-action3d of a .zip": ("msr-action3d", "x.zip", {"x.zip": zip_bytes(msr)}),
        "ntu-rgbd": ("ntu-rgbd", ".", {f"{_NTU_NAME}.skeleton": ntu}),
        "nw-ucla": ("nw-ucla", ".", {"a01_s01_e01_v01.json": _nw_ucla()}),
        "pku-mmd": ("pku-mmd", ".", pku),
        "pyskl": ("pyskl", "x.pkl", {"x.pkl": _pyskl(2)}),
        "pyskl in 2-D": ("pyskl", "x.pkl", {"x.pkl": _pyskl(2, joints=17, channels=2)}),
        "sbu-interaction": ("sbu-interaction", ".", {"s01s02/03/004/skeleton_pos.txt": _numbers(sbu, ",")}),
        "utd-mhad": ("utd-mhad", ".", {f"a{n}_s{n}_t1_skeleton.mat": _mat(bool(n - 1)) for n in (1, 2)}),
        "utkinect-action3d": ("utkinect-action3d", ".", utk),
        "utkinect-action3d of a .zip": ("utkinect-action3d", "x.zip", {"x.zip": zip_bytes(utk)}),
    }


def pose_targets() -> dict[str, tuple[str, str, dict[str, bytes]]]:
    """Files of pose estimators and of motion capture; `auto` reads what it recognises."""
    body = np.concatenate([_rng.uniform(0, 500, (4, 2, 25, 2)), _rng.uniform(0.2, 1, (4, 2, 25, 1))], axis=-1).round(2)
    landmarks = [{"x": 0.1, "y": 0.2, "z": 0.3, "visibility": 0.9}] * 33
    frame = {"pose_landmarks": [landmarks], "pose_world_landmarks": [landmarks], "timestamp_ms": 0}
    frames = [{**frame, "timestamp_ms": 33 * at} for at in range(3)]
    hands = [{"hand_landmarks": [landmarks[:21]] * 2, "handedness": ["Left", "Right"]}, {"hand_landmarks": []}]
    npz = {"world_landmarks": _rng.normal(size=(3, 33, 4)), "fps": np.array(30.0)}
    long = ["recording,frame,person,joint,x,y,z,label,subject"]
    names = get_layout("openni-15").joints
    long += [f"a,{at},p,{name},0.5,{at},1,walk,3" for at in range(3) for name in names]
    wide = ",".join(["time", *(f"{name}_{axis}" for name in names for axis in "xyz"), "frame"])
    rows = np.column_stack([np.arange(4) / 30, _rng.normal(size=(4, 45)), np.arange(4)]).round(3)
    parquet = io.BytesIO()
    columns = {"frame": np.arange(3)} | {f"{name}_{axis}": _rng.normal(size=3) for name in names for axis in "xyz"}
    pq.write_table(pa.table(columns), parquet)
    openpose = {
        f"v/v_{at:012d}_keypoints.json": json.dumps(
            {
                "version": 1.3,
                "people": [{"person_id": [-1], "pose_keypoints_2d": each.ravel().tolist()} for each in people],
            }
        ).encode()
        for at, people in enumerate(body)
    }
    whole = {"pose_keypoints_2d": body[0, 0].ravel().tolist(), "hand_left_keypoints_2d": [0.0, 1.0, 0.5] * 21}
    openpose["v/v_000000000004_keypoints.json"] = json.dumps({"people": [whole]}).encode()
    coco = {
        "a.json": json.dumps(pose_files.alphapose(body[:, :, :17])).encode(),
        "b.json": json.dumps(pose_files.mmpose(body[:, :, :17])).encode(),
    }
    yolo = [
        [{"name": "person", "keypoints": {key: each[:17, at].tolist() for at, key in enumerate(("x", "y", "visible"))}}]
        for each in body[:, 0]
    ]
    coco["c.json"] = json.dumps(yolo).encode()
    images = [{"id": 7, "file_name": "v/000001.jpg"}, {"id": 8, "file_name": "v/000002.jpg"}]
    listed = [{"image_id": at, "id": at, "keypoints": body[0, 0, :17].ravel().tolist()} for at in (7, 8)]
    parts = [part for name in names for part in (name, name, name)]
    lines = (["scorer", *(["net"] * 45)], ["bodyparts", *parts], ["coords", *(["x", "y", "likelihood"] * 15)])
    dlc = "".join(",".join(line) + "\n" for line in lines)
    asf, amc = pose_files.ASF.encode(), pose_files.AMC.encode()
    openni = get_layout("openni-15")
    bvh = pose_files.bvh_of_positions(_rng.normal(size=(3, 15, 3)), openni).encode()
    sleap = SAMPLES / "sleap"
    return {
        "table, a frame a row": ("auto", "x.csv", {"x.csv": f"{wide}\n".encode() + _numbers(rows, ",")}),
        "table, a joint a row": ("auto", "x.csv", {"x.csv": "\n".join(long).encode()}),
        "table in Parquet": ("table", "x.parquet", {"x.parquet": parquet.getvalue()}),
        "kinect text dump": ("table", ".", {"a.txt": _numbers(_rng.normal(size=(4, 120)))}),
        "mediapipe in JSON": ("auto", "x.json", {"x.json": json.dumps(frames).encode()}),
        "mediapipe hands in JSON": ("auto", "x.json", {"x.json": json.dumps(hands * 2).encode()}),
        "mediapipe in .npz": ("auto", "x.npz", {"x.npz": _npz(**npz)}),
        "openpose": ("auto", ".", openpose),
        "coco": ("auto", ".", coco),
        "coco annotations": (
            "coco",
            "x.json",
            {"x.json": json.dumps({"images": images, "annotations": listed}).encode()},
        ),
        "deeplabcut": (
            "auto",
            ".",
            {"x.csv": dlc.encode() + _numbers(np.column_stack([np.arange(3), _rng.uniform(size=(3, 45))]), ",")},
        ),
        "sleap": ("sleap", ".", {"x.slp": (sleap / "walk.slp").read_bytes()}),
        "sleap analysis": ("sleap", ".", {"x.h5": (sleap / "walk.analysis.h5").read_bytes()}),
        "bvh": ("auto", "x.bvh", {"x.bvh": bvh}),
        "asf-amc": ("auto", ".", {"x.asf": asf, "x_120.amc": amc}),
        "c3d": ("c3d", "x.c3d", {"x.c3d": (SAMPLES / "c3d" / "walk.c3d").read_bytes()}),
        "humanml3d": ("humanml3d", ".", {"new_joints/000000.npy": npy_bytes(_clip(4, 22)), "train.txt": b"000000\n"}),
    }


def _clip(frames: int, joints: int = 25, channels: int = 3) -> np.ndarray:
    return _rng.normal(size=(frames, joints, channels)).astype(np.float32)


def _npz(save: Callable[..., None] = np.savez, **arrays: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


def _numbers(rows: np.ndarray, separator: str = " ") -> bytes:
    return "".join(separator.join(f"{value:g}" for value in row) + "\n" for row in rows).encode()


def _skeleton(frames: int) -> bytes:
    body = "72057594037931101 0 1 1 0 0 0 0.1 0.2 2\n25\n"
    lines = [f"{frames}"]
    for _ in range(frames):
        joints = "".join(f"{x:.4f} {y:.4f} {z:.4f} 1 2 3 4 0 0 0 1 2\n" for x, y, z in _rng.normal(size=(25, 3)))
        lines.append(f"1\n{body}{joints}".rstrip("\n"))
    return "\n".join(lines).encode() + b"\n"


def _kinetics(label: str, number: int) -> bytes:
    body = {"pose": _rng.uniform(size=36).round(3).tolist(), "score": _rng.uniform(size=18).round(3).tolist()}
    frames = [{"frame_index": index, "skeleton": [body]} for index in (1, 2, 4)]
    return json.dumps({"data": frames, "label": label, "label_index": number}).encode()


def _labels(name: str, label: str, number: int) -> bytes:
    return json.dumps({name: {"has_skeleton": True, "label": label, "label_index": number}}).encode()


def _nw_ucla() -> bytes:
    return json.dumps({"skeletons": _rng.normal(size=(3, 20, 3)).round(3).tolist(), "label": 1}).encode()


def _mat(compressed: bool) -> bytes:
    stream = io.BytesIO()
    savemat(stream, {"d_skel": _rng.normal(size=(20, 3, 4))}, do_compression=compressed)
    return stream.getvalue()


def _pyskl(clips: int, joints: int = 25, channels: int = 3) -> bytes:
    annotations = [
        {
            "frame_dir": f"S001C001P00{n}R001A001",
            "label": n,
            "total_frames": 4,
            "keypoint": _rng.normal(size=(1, 4, joints, channels)).astype(np.float16 if channels == 2 else np.float32),
            **({"img_shape": (1080, 1920)} if channels == 2 else {}),
        }
        for n in range(clips)
    ]
    split = {"xsub_train": [annotations[0]["frame_dir"]], "xsub_val": [annotations[1]["frame_dir"]]}
    return pickle.dumps({"split": split, "annotations": annotations}, protocol=4)


def _cmd() -> dict[str, bytes]:
    files = {}
    for part, clips in (("train", 2), ("val", 1)):
        names = [f"S001C001P00{n}R001A00{n + 1}.skeleton" for n in range(clips)]
        files[f"{part}_data_joint.npy"] = npy_bytes(_rng.normal(size=(clips, 3, 6, 25, 2)).astype(np.float32))
        files[f"{part}_num_frame.npy"] = npy_bytes(np.full(clips, 6))
        files[f"{part}_label.pkl"] = pickle.dumps((names if part == "train" else ["x"], list(range(clips))), protocol=2)
    return files


def _ctr_gcn() -> bytes:
    rows = {"x_train": _rng.normal(size=(2, 4, 150)), "x_test": _rng.normal(size=(1, 4, 150))}
    hot = np.eye(60)
    return _npz(**{name: values.astype("f4") for name, values in rows.items()}, y_train=hot[:2], y_test=hot[:1])
