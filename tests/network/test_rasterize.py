"""The rasterizer against geometry that is known because we drew it, and its two backends against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkinghead.network.rasterize import pytorch3d_available, rasterize

SQUARE = torch.tensor([[[2.0, 3.0, 1.0], [10.0, 3.0, 1.0], [10.0, 9.0, 1.0], [2.0, 9.0, 1.0]]])
TWO = torch.tensor([[0, 1, 2], [0, 2, 3]])
CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])

needs_pytorch3d = pytest.mark.skipif(not pytorch3d_available(), reason="pytorch3d has no wheel for this platform")


def test_square_covers_exactly_its_pixels() -> None:
    _, coverage = rasterize(SQUARE, TWO, CORNERS, 16, 16, "numba")
    expected = torch.zeros(16, 16)
    expected[3:9, 2:10] = 1
    assert torch.equal(coverage[0, 0], expected)


def test_attributes_are_linear_at_pixel_centers() -> None:
    values, _ = rasterize(SQUARE, TWO, CORNERS, 16, 16, "numba")
    x = (torch.arange(2, 10) + 0.5 - 2) / 8
    y = (torch.arange(3, 9) + 0.5 - 3) / 6
    torch.testing.assert_close(values[0, 0, 3:9, 2:10], x.expand(6, 8), atol=1e-6, rtol=0)
    torch.testing.assert_close(values[0, 1, 3:9, 2:10], y[:, None].expand(6, 8), atol=1e-6, rtol=0)


def test_the_nearer_triangle_wins() -> None:
    far = SQUARE[0].clone()
    far[:, 2] = 5
    both = torch.cat([SQUARE[0], far])[None]
    order = torch.cat([TWO, TWO + 4])
    color = torch.tensor([[1.0]] * 4 + [[2.0]] * 4)
    for triangles in (order, order.flip(0)):
        values, _ = rasterize(both, triangles, color, 16, 16, "numba")
        assert values[0, 0, 5, 5] == 1.0


def test_degenerate_and_not_finite_triangles_are_left_out() -> None:
    bad = torch.tensor([[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [5.0, 5.0, 0.0], [float("nan"), 0.0, 0.0]]])
    _, coverage = rasterize(bad, torch.tensor([[0, 1, 2], [0, 2, 3]]), CORNERS, 8, 8, "numba")
    assert coverage.sum() == 0


def random_mesh(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.linspace(4, 60, 9), np.linspace(3, 44, 7)), -1).reshape(-1, 2)
    vertices = np.concatenate([grid + draw.normal(0, 1.5, grid.shape), draw.normal(0, 2, (len(grid), 1))], 1)
    cells = [(r * 9 + c, r * 9 + c + 1, (r + 1) * 9 + c, (r + 1) * 9 + c + 1) for r in range(6) for c in range(8)]
    triangles = [t for a, b, c, d in cells for t in ((a, b, d), (a, d, c))]
    colors = draw.uniform(size=(len(grid), 3))
    return (
        torch.from_numpy(vertices.astype(np.float32))[None],
        torch.tensor(triangles),
        torch.from_numpy(colors.astype(np.float32)),
    )


@needs_pytorch3d
@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48)])
def test_backends_agree(height: int, width: int) -> None:
    vertices, triangles, colors = random_mesh(3)
    ours, our_coverage = rasterize(vertices, triangles, colors, height, width, "numba")
    theirs, their_coverage = rasterize(vertices, triangles, colors, height, width, "pytorch3d")
    same = our_coverage == their_coverage
    assert same.float().mean() > 0.999  # a pixel center right on an edge may go to either side
    both = (our_coverage * their_coverage).bool().expand_as(ours)
    assert (ours[both] - theirs[both]).abs().max() < 1e-3


@needs_pytorch3d
def test_gradients_reach_the_vertices() -> None:
    vertices, triangles, colors = random_mesh(4)
    vertices.requires_grad_()
    values, _ = rasterize(vertices, triangles, colors, 48, 64, "pytorch3d")
    values.square().sum().backward()
    assert vertices.grad is not None
    assert torch.isfinite(vertices.grad).all()
    assert vertices.grad[..., :2].abs().sum() > 0


@pytest.mark.parametrize("far", [1e12, 1e20, 3e38])
def test_vertices_beyond_the_range_of_integers_do_no_harm(far: float) -> None:
    """As a damaged model has them: what lies inside the image is drawn, and no memory outside it is touched."""
    uv, triangles = torch.zeros(3, 1), torch.tensor([[0, 1, 2]])
    for signs in ([1, 1], [-1, 1], [1, -1], [-1, -1]):
        for corners in ([[2, 2], [9, 2]], [[-far, 5], [2, 2]], [[far, far], [far, -far]]):
            points = [[signs[0] * far, signs[1] * far, 1.0], *([x, y, 1.0] for x, y in corners)]
            _, coverage = rasterize(torch.tensor([points], dtype=torch.float32), triangles, uv, 16, 16, "numba")
            assert coverage.shape == (1, 1, 16, 16) and set(coverage.unique().tolist()) <= {0.0, 1.0}
