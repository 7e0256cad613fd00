"""Preset `denoised`: a slow formulation, each rule, golden files and generated noise."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.denoise import choose_actors
from i2md.data.prepare import prepare
from i2md.data.presets import LeftOut, Prepared, prepare_positions
from i2md.data.readers import open_source
from i2md.data.readers.files import BadFile
from i2md.data.readers.ntu_rgbd import parse_bodies, parse_skeleton
from i2md.data.recording import Recording
from i2md.skeletons import get_layout
from i2md.synthetic import NtuIrregularities, write_ntu

V2 = get_layout("kinect-v2")


def slow_denoised(bodies: np.ndarray, actors: int) -> np.ndarray | None:
    """Body by body and frame by frame, as docs/prepare.md describes it; y up, spine middle the joint of index 1."""
    tracked = []
    for body in bodies.astype(float):
        frames = {at: pose for at, pose in enumerate(body) if any(number != 0 for number in pose.ravel())}
        if frames:
            tracked.append(frames)
    if not tracked:
        return None

    def wide(pose: np.ndarray) -> bool:
        xs, ys = [x for x, _, _ in pose], [y for _, y, _ in pose]
        return max(xs) - min(xs) > 0.8 * (max(ys) - min(ys))

    def motion(poses: list[np.ndarray]) -> float:
        total = 0.0
        for axis in range(3):
            numbers = [joint[axis] for pose in poses for joint in pose]
            mean = sum(numbers) / len(numbers)
            total += sum((number - mean) ** 2 for number in numbers) / len(numbers)
        return total

    long_enough = [frames for frames in tracked if len(frames) > 11]
    tracked = long_enough or tracked
    shaped = [frames for frames in tracked if sum(map(wide, frames.values())) / len(frames) < 0.69754]
    tracked = shaped or tracked

    def rank(frames: dict[int, np.ndarray]) -> float:
        upright = [pose for pose in frames.values() if not wide(pose)]
        whole = motion(list(frames.values()))
        return min(whole, motion(upright)) if upright else whole

    persons: list[dict[int, np.ndarray]] = []
    for frames in sorted(tracked, key=rank, reverse=True):
        for person in persons:
            if max(frames) < min(person) or min(frames) > max(person):
                person.update(frames)
                break
        else:
            if len(persons) < actors:
                persons.append(dict(frames))
    held = [at for at in range(bodies.shape[1]) if any(at in person for person in persons)]
    origin = persons[0][min(persons[0])][1]
    prepared = np.zeros((len(persons), len(held), *bodies.shape[2:]))
    for number, person in enumerate(persons):
        for to, at in enumerate(held):
            if at in person:
                prepared[number, to] = person[at] - origin
    return prepared


def agree(bodies: np.ndarray, actors: int) -> None:
    ours, slow = prepare_positions(bodies, V2, "denoised", actors), slow_denoised(bodies, actors)
    if slow is None:
        assert ours == LeftOut("no person is seen in any frame")
    else:
        assert isinstance(ours, Prepared)
        np.testing.assert_allclose(ours.positions, slow, atol=1e-5)


def body(
    seed: int, start: int = 0, end: int = 40, frames: int = 40, size: float = 1.0, stir: float = 0.05
) -> np.ndarray:
    """A body taller than wide that is there from frame `start` to before `end`."""
    rng = np.random.default_rng(seed)
    pose = rng.uniform(-1, 1, (25, 3)) * [0.25, 0.9, 0.2] * size
    moved = pose + rng.normal(0, stir, (frames, 25, 3)) * size + [rng.uniform(-1, 1), 0.1, 3]
    there = (np.arange(frames) >= start) & (np.arange(frames) < end)
    return (moved * there[:, None, None]).astype(np.float32)


def lying(seed: int, **where: int) -> np.ndarray:
    across = body(seed, size=2.0, **where)
    return across[..., [1, 0, 2]]


def chosen(bodies: list[np.ndarray], actors: int) -> np.ndarray:
    return choose_actors(np.stack(bodies), V2, actors)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_it_agrees_with_a_slow_formulation(data: st.DataObject) -> None:
    bodies = []
    for _ in range(data.draw(st.integers(1, 6))):
        kind = data.draw(st.sampled_from([body, lying]))
        start = data.draw(st.integers(0, 38))
        made = kind(data.draw(st.integers(0, 999)), start=start, end=data.draw(st.integers(start, 40)))
        half = data.draw(st.sampled_from([0, 0, 10, 25, 30]))
        # Some are as wide as tall for a part of the time.
        made[start : start + half] = made[start : start + half, :, [1, 0, 2]]
        bodies.append(made)
    agree(np.stack(bodies), data.draw(st.sampled_from([1, 2])))


def test_it_agrees_on_the_golden_files(golden: Path) -> None:
    for file in sorted((golden / "ntu-rgbd").glob("*.skeleton")):
        for actors in (1, 2):
            agree(parse_bodies(file.read_bytes()).astype(np.float32), actors)


@pytest.mark.slow
def test_it_agrees_on_generated_noise(tmp_path: Path) -> None:
    noisy = {"extra_bodies": 0.5, "person_lost": 0.2, "empty_ends": 0.1, "changed_order": 0.1, "two_frames": 0.1}
    write_ntu(tmp_path, clips=30, irregularities=NtuIrregularities(**{**vars(NtuIrregularities.none()), **noisy}))
    source = open_source("ntu-rgbd", tmp_path)
    assert source.read_all_bodies is not None
    counts = []
    for clip in source.read_all_bodies():
        assert isinstance(clip, Recording) and clip.actors == (2 if 50 <= clip.label + 1 <= 60 else 1)
        agree(clip.positions, clip.actors)
        counts.append(len(clip.positions))
    assert max(counts) >= 5


def test_the_generated_actors_are_found_among_the_noise(tmp_path: Path) -> None:
    """The same clips with 3 to 6 bodies and without: the same persons are found, and no others."""
    clips = {}
    for name, share in {"noisy": 1.0, "clean": 0.0}.items():
        only = NtuIrregularities(**{**vars(NtuIrregularities.none()), "extra_bodies": share})
        write_ntu(tmp_path / name, clips=40, irregularities=only)
        for preset in ("denoised", "ntu"):
            out = tmp_path / f"{name}-{preset}"
            clips[name, preset] = prepare("ntu-rgbd", tmp_path / name, out, preset=preset)
    clean = clips["clean", "denoised"]
    assert clean.dataset.preparation == "denoised" and len(clean) == 40
    for found, alone, label in zip(clips["noisy", "denoised"], clean, clean.columns["label"], strict=True):
        assert len(alone) == (2 if 50 <= label + 1 <= 60 else 1)
        np.testing.assert_allclose(found, alone, atol=1e-5)
        np.testing.assert_allclose(found[0, 0, 1], 0, atol=1e-6)
    # The two most energetic bodies are others in most of these clips.
    energetic = zip(clips["noisy", "ntu"], clips["clean", "ntu"], strict=True)
    assert sum(noisy.shape == alone.shape and np.allclose(noisy, alone, atol=0.01) for noisy, alone in energetic) < 10


def test_bodies_seen_for_11_frames_are_noise_and_12_are_not() -> None:
    for frames, kept in ((11, 1), (12, 2)):
        assert len(chosen([body(0), body(1, end=frames)], actors=2)) == kept
    # Alone, or where all are short, they are kept.
    assert len(chosen([body(1, end=2)], actors=1)) == 1
    assert len(chosen([body(1, end=2), body(2, start=1, end=4)], actors=2)) == 2


@pytest.mark.parametrize(("wide_frames", "kept"), [(27, 2), (28, 1)])
def test_bodies_wide_in_70_percent_of_frames_are_noise(wide_frames: int, kept: int) -> None:
    doubtful = body(1)
    doubtful[:wide_frames] = doubtful[:wide_frames, :, [1, 0, 2]]
    assert len(chosen([body(0), doubtful], actors=2)) == kept
    assert len(chosen([lying(0), lying(1)], actors=2)) == 2


@pytest.mark.parametrize(("width", "kept"), [(0.79, 2), (0.81, 1)])
def test_wide_is_more_than_four_fifths_of_the_height(width: float, kept: int) -> None:
    doubtful = np.repeat(body(1, stir=0.0)[:1], 40, axis=0)
    for axis, size in ((0, width), (1, 1.0)):
        doubtful[..., axis] = np.linspace(0, 1, 25)[None] * size
    assert len(chosen([body(0), doubtful], actors=2)) == kept


def test_frames_without_human_shape_do_not_count_as_motion() -> None:
    upright, jumping = body(0, stir=0.1), body(1, stir=0.0)
    jumping[:12] = jumping[:12, :, [1, 0, 2]] + [0, 0, 2]
    assert jumping.reshape(-1, 3).var(axis=0).sum() > 2 * upright.reshape(-1, 3).var(axis=0).sum()
    np.testing.assert_array_equal(chosen([jumping, upright], actors=2), [upright, jumping])


def test_the_person_who_moves_most_is_first() -> None:
    still, lively = body(0, stir=0.0), body(0, stir=0.4)
    for order in ([still, lively], [lively, still]):
        np.testing.assert_array_equal(chosen(order, actors=2), [lively, still])
        np.testing.assert_array_equal(chosen(order, actors=1), [lively])


def test_a_person_tracked_again_is_the_same_person() -> None:
    before, after, other = body(0, end=18, stir=0.3), body(0, start=20, stir=0.2), body(1, stir=0.0, size=0.5)
    for actors in (1, 2):
        persons = chosen([after, other, before], actors)
        np.testing.assert_array_equal(persons, [before + after, other][:actors])


def test_frames_without_persons_are_cut_and_late_persons_stay_zero() -> None:
    first, second = body(0, start=5, end=35, stir=0.3), body(1, start=15, end=38, stir=0.0)
    ours = prepare_positions(np.stack([first, second]), V2, "denoised", 2)
    assert isinstance(ours, Prepared) and ours[1:] == (7, 0, 0, 0, 0)
    np.testing.assert_allclose(ours.positions[0, :30], first[5:35] - first[5, 1], atol=1e-6)
    assert not ours.positions[0, 30:].any() and not ours.positions[1, :10].any()
    np.testing.assert_allclose(ours.positions[1, 10:], second[15:38] - first[5, 1], atol=1e-6)
    alone = prepare_positions(np.stack([first, second]), V2, "denoised", 1)
    assert isinstance(alone, Prepared) and alone[1:] == (10, 0, 1, 0, 0)


def test_two_actors_are_kept_if_their_number_is_unknown() -> None:
    three = np.stack([body(0), body(1), body(2)])
    ours = prepare_positions(three, V2, "denoised")
    assert isinstance(ours, Prepared) and len(ours.positions) == 2 and ours.persons_absent == 1


def test_bodies_are_distinguished_by_their_ids(golden: Path) -> None:
    """Whatever their order in each frame: the reader's other way tells them apart by that order."""
    for file in sorted((golden / "ntu-rgbd").glob("*.skeleton")):
        data = file.read_bytes()
        all_bodies, by_place = parse_bodies(data), parse_skeleton(data)
        lines = [line.split() for line in data.replace(b"\r", b"").split(b"\n")]
        assert len(all_bodies) == max(len({fields[0] for fields in lines if len(fields) == 10}), 1)
        # The same numbers, however they are told apart.
        assert all_bodies.sum() == pytest.approx(slow_sum(data)) and by_place.shape[1:] == all_bodies.shape[1:]


def slow_sum(data: bytes) -> float:
    rows = (line.split() for line in data.split(b"\n"))
    return sum(float(number) for row in rows if len(row) == 12 for number in row[:3])


def swapped(data: bytes) -> bytes:
    """The two bodies of each frame in the other order from the 30th frame on."""
    lines = data.removesuffix(b"\n").split(b"\n")
    out, at = lines[:1], 1
    for frame in range(int(lines[0])):
        bodies = [lines[at + 1 + 27 * body : at + 28 + 27 * body] for body in range(int(lines[at]))]
        out += [lines[at], *(line for body in (bodies[::-1] if frame >= 30 else bodies) for line in body)]
        at += 1 + 27 * len(bodies)
    return b"\n".join(out) + b"\n"


def test_the_order_within_frames_changes_nothing(golden: Path) -> None:
    data = (golden / "ntu-rgbd" / "S002C002P008R002A050.skeleton").read_bytes()
    assert swapped(data) != data
    np.testing.assert_array_equal(parse_bodies(swapped(data)), parse_bodies(data))
    assert (parse_skeleton(swapped(data)) != parse_skeleton(data)).any()


def test_equal_ids_in_one_frame_are_refused(golden: Path) -> None:
    data = (golden / "ntu-rgbd" / "S002C002P008R002A050.skeleton").read_bytes()
    first, second = sorted({line.split()[0] for line in data.split(b"\n") if len(line.split()) == 10})
    with pytest.raises(BadFile, match="two of one frame have the same"):
        parse_bodies(data.replace(second, first))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), token=st.one_of(st.sampled_from([b"", b"0", b"1", b"6", b"nan", b"1 2"]), st.binary(max_size=9)))
def test_any_token_changed_or_prefix_is_bodies_or_refused(data: st.DataObject, token: bytes, golden: Path) -> None:
    whole = (golden / "ntu-rgbd" / "S005C001P010R001A009.skeleton").read_bytes()
    spans = [match.span() for match in re.finditer(rb"\S+", whole)]
    start, end = data.draw(st.one_of(st.sampled_from(spans[:16]), st.sampled_from(spans)))
    for changed in (whole[:start] + token + whole[end:], whole[:start]):
        try:
            bodies = parse_bodies(changed)
        except BadFile as error:
            assert "\n" not in str(error)
        else:
            # An id that another takes the place of is another body.
            assert bodies.shape[1:] == (2, 25, 3) and len(bodies) in (1, 2)


def test_other_kinect_v2_sources_can_use_it(tmp_path: Path) -> None:
    positions = np.stack([body(seed) for seed in range(3)])
    np.savez(tmp_path / "m.npz", positions=positions)
    clips = prepare("arrays", tmp_path / "m.npz", tmp_path / "c", preset="denoised", layout="kinect-v2")
    for clip, recorded in zip(clips, positions, strict=True):
        np.testing.assert_allclose(clip[0], recorded - recorded[0, 1], atol=1e-5)
