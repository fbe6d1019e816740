"""Rasterization of small meshes: per-vertex attributes in, per-pixel attributes out.

Two backends behind one function, tested against each other:

* ``numba``: a z-buffer loop over triangles and their bounding boxes. It is chosen on a CPU, since pytorch3d's CPU
  rasterizer visits every triangle for every pixel.
* ``pytorch3d``: runs on CUDA and is differentiable with respect to the vertices.

Both sample at pixel centers (+0.5), draw both sides of a triangle, and interpolate linearly in screen
space, which is exact for the scaled orthographic camera that the face model uses.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING, Literal

import numba
import numpy as np
import torch
from torch import Tensor

from talkinghead.structures import FloatArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

Backend = Literal["numba", "pytorch3d"]
"""Implementation of the rasterizer."""


@functools.cache
def pytorch3d_available() -> bool:
    """Whether pytorch3d and its compiled part can be imported (there is a wheel for Linux x86-64 only)."""
    if importlib.util.find_spec("pytorch3d") is None:
        return False
    try:
        from pytorch3d import _C  # noqa: F401
    except ImportError:
        return False
    return True


def best_backend(device: torch.device) -> Backend:
    """The faster backend for tensors on `device`."""
    return "pytorch3d" if device.type == "cuda" and pytorch3d_available() else "numba"


def rasterize(
    vertices_px: Tensor, triangles: Tensor, attributes: Tensor, height: int, width: int, backend: Backend | None = None
) -> tuple[Tensor, Tensor]:
    """Rasterize B meshes of one topology and interpolate the attributes of their vertices.

    Args:
        vertices_px: (B, V, 3) float32; x and y in pixels, z in any unit, smaller is nearer.
        triangles: (F, 3) int64 vertex numbers.
        attributes: (V, A) float32, shared by the batch.
        height: of the image, pixels.
        width: of the image, pixels.
        backend: None chooses `best_backend` for the device of `vertices_px`.

    Returns:
        values (B, A, H, W) float32, 0 where no triangle is drawn, and coverage (B, 1, H, W) float32, 0 or 1.
        Gradients reach `vertices_px` and `attributes` with the pytorch3d backend only.
    """
    if (backend or best_backend(vertices_px.device)) == "pytorch3d":
        return _rasterize_pytorch3d(vertices_px, triangles, attributes, height, width)
    values, coverage = _rasterize_numba(
        vertices_px.detach().cpu().numpy().astype(np.float32, copy=False),
        triangles.cpu().numpy(),
        attributes.detach().cpu().numpy().astype(np.float32, copy=False),
        height,
        width,
    )
    return torch.from_numpy(values).to(vertices_px.device), torch.from_numpy(coverage).to(vertices_px.device)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rasterize_numba(
    vertices: FloatArray, triangles: NDArray[np.int64], attributes: FloatArray, height: int, width: int
) -> tuple[FloatArray, FloatArray]:
    """`rasterize` on arrays, by a z-buffer."""
    batch = vertices.shape[0]
    channels = attributes.shape[1]
    values = np.zeros((batch, channels, height, width), np.float32)
    coverage = np.zeros((batch, 1, height, width), np.float32)
    nearest = np.empty((height, width), np.float32)
    for b in range(batch):
        nearest[:] = np.inf  # depth of what is drawn so far
        for f in range(triangles.shape[0]):
            i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
            ax, ay, az = vertices[b, i, 0], vertices[b, i, 1], vertices[b, i, 2]
            bx, by, bz = vertices[b, j, 0], vertices[b, j, 1], vertices[b, j, 2]
            cx, cy, cz = vertices[b, k, 0], vertices[b, k, 1], vertices[b, k, 2]
            # Twice the signed area; its sign tells the winding, and both windings are drawn.
            area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            if not abs(area) > 1e-9:  # degenerate or not finite
                continue
            # Pixels whose centers lie in the bounding box. The bounds are clipped to the image before the conversion to
            # integers, which large coordinates would overflow.
            left = int(min(max(np.ceil(min(ax, bx, cx) - 0.5), 0.0), width))
            right = int(max(min(np.floor(max(ax, bx, cx) - 0.5), width - 1.0), -1.0))
            top = int(min(max(np.ceil(min(ay, by, cy) - 0.5), 0.0), height))
            bottom = int(max(min(np.floor(max(ay, by, cy) - 0.5), height - 1.0), -1.0))
            for y in range(top, bottom + 1):
                py = y + 0.5
                for x in range(left, right + 1):
                    px = x + 0.5
                    # Barycentric coordinates: areas of the three subtriangles over the whole, whose signs cancel.
                    u = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                    v = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                    w = 1.0 - u - v
                    if u < 0.0 or v < 0.0 or w < 0.0:  # the center lies outside of the triangle
                        continue
                    z = u * az + v * bz + w * cz
                    if z < nearest[y, x]:  # nearer than all triangles before
                        nearest[y, x] = z
                        coverage[b, 0, y, x] = 1.0
                        for c in range(channels):
                            values[b, c, y, x] = u * attributes[i, c] + v * attributes[j, c] + w * attributes[k, c]
    return values, coverage


def draw_textured(
    vertices_px: Tensor, triangles: Tensor, uv: Tensor, base: Tensor, change: Tensor, filled: Tensor, hole: Tensor
) -> Tensor:
    """Draw B meshes, each with the sum of a shared texture and one of its own, on the CPU without gradients.

    Gives what `rasterize` and bilinear sampling give, in a third of the time: every pixel is written once, with all of
    its channels next to each other, the order that convolutions are fastest in.

    Args:
        vertices_px: (B, V, 3) float32, as in `rasterize`.
        triangles: (F, 3) int64 vertex numbers.
        uv: (V, 2) float32 in [0, 1].
        base: (C, h, w) texture of all meshes, sampled bilinearly, its edge repeated beyond.
        change: (B, C, h', w') textures of the meshes, sampled in the same manner.
        filled: (B, 3, H, W) float32, copied into the result.
        hole: (B, 1, H, W) float32, copied into the result.

    Returns:
        (B, C + 5, H, W) float32, channels-last: texture (0 where no triangle is drawn), coverage, `filled`, `hole`.
    """
    drawn = _draw_textured(
        vertices_px.numpy().astype(np.float32, copy=False),
        triangles.numpy(),
        uv.numpy(),
        np.ascontiguousarray(base.detach().float().permute(1, 2, 0).numpy())[None],
        np.ascontiguousarray(change.detach().float().permute(0, 2, 3, 1).numpy()),
        filled.permute(0, 2, 3, 1).numpy(),
        hole[:, 0].numpy(),
    )
    return torch.from_numpy(drawn).permute(0, 3, 1, 2)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _draw_textured(
    vertices: FloatArray,
    triangles: NDArray[np.int64],
    uv: FloatArray,
    base: FloatArray,
    changes: FloatArray,
    filled: FloatArray,
    holes: FloatArray,
) -> FloatArray:
    """`draw_textured` on arrays with the channels last."""
    batch, _, _, channels = changes.shape
    height, width = holes.shape[1:]
    drawn = np.zeros((batch, height, width, channels + 5), np.float32)
    for b in range(batch):
        # The mesh gives the texture coordinates of every pixel, (1, 2, H, W).
        uv_image, coverage = _rasterize_numba(vertices[b : b + 1], triangles, uv, height, width)
        for y in range(height):
            for x in range(width):
                # Channels of a pixel: texture (C), coverage, image to be filled (3), hole.
                pixel = drawn[b, y, x]
                pixel[channels] = coverage[0, 0, y, x]
                for c in range(3):
                    pixel[channels + 1 + c] = filled[b, y, x, c]
                pixel[channels + 4] = holes[b, y, x]
                if coverage[0, 0, y, x] > 0.0:
                    _add_sample(pixel, base, 0, uv_image[0, 0, y, x], uv_image[0, 1, y, x])
                    _add_sample(pixel, changes, b, uv_image[0, 0, y, x], uv_image[0, 1, y, x])
    return drawn


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _add_sample(pixel: FloatArray, textures: FloatArray, b: int, u: float, v: float) -> None:
    """Add texture `b`, sampled bilinearly at (u, v), to the first channels of a pixel. Texel centers are at +0.5."""
    _, rows, columns, channels = textures.shape
    half = np.float32(0.5)
    # Clamping to the centers of the outer texels repeats the edge; all in float32, as torch's grid_sample computes.
    column = min(max(u * np.float32(columns) - half, np.float32(0)), np.float32(columns - 1))
    row = min(max(v * np.float32(rows) - half, np.float32(0)), np.float32(rows - 1))
    left, top = int(column), int(row)
    right, bottom = min(left + 1, columns - 1), min(top + 1, rows - 1)
    across, down = column - np.float32(left), row - np.float32(top)
    for c in range(channels):
        # Interpolated across in the rows above and below, then between the two.
        above = textures[b, top, left, c]
        above += across * (textures[b, top, right, c] - above)
        below = textures[b, bottom, left, c]
        below += across * (textures[b, bottom, right, c] - below)
        pixel[c] += above + down * (below - above)


def _rasterize_pytorch3d(
    vertices: Tensor, triangles: Tensor, attributes: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """`rasterize` by pytorch3d."""
    from pytorch3d.ops import interpolate_face_attributes
    from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
    from pytorch3d.structures import Meshes

    # pytorch3d's normalized device coordinates have +x left and +y up, and the shorter side spans [-1, 1].
    # Nothing nearer than z = 0 is drawn, so the depth of each mesh is shifted to begin at 1.
    half = min(height, width) / 2
    xy = (vertices.new_tensor([width / 2, height / 2]) - vertices[..., :2]) / half
    depth = vertices[..., 2:] - vertices[..., 2:].amin(dim=(1, 2), keepdim=True) + 1.0
    meshes = Meshes(torch.cat([xy, depth], dim=-1), triangles.expand(len(vertices), -1, -1))
    index, _, barycentric, _ = rasterize_meshes(
        meshes, (height, width), faces_per_pixel=1, bin_size=0, perspective_correct=False, cull_backfaces=False
    )
    # pytorch3d numbers the triangles of a batch consecutively, hence the repetition of their corners' attributes.
    corners = attributes[triangles].repeat(len(vertices), 1, 1)
    values = interpolate_face_attributes(index, barycentric, corners)[..., 0, :].permute(0, 3, 1, 2)
    return values, (index[..., 0] >= 0).unsqueeze(1).to(vertices.dtype)


KERNELS = (_rasterize_numba, _draw_textured)
"""What numba compiles."""
