"""Random batches for the policy loss, and the gradient that a loss gives on one."""

import torch


def random_batch(seed: int, dtype=torch.float32, num_rows: int = 5, num_tokens: int = 11):
    """(log_prob, old_log_prob, advantages, mask, regions, entropy) that meets every clip and clamp.

    The last row is all masked, as verl's padding rows are.
    """
    torch.manual_seed(seed)
    shape = (num_rows, num_tokens)
    old_log_prob = -torch.rand(shape, dtype=dtype) * 5
    log_ratio = torch.randn(shape, dtype=dtype)
    log_ratio[0, 0] = -25  # beyond the clamp
    log_prob = (old_log_prob + log_ratio).requires_grad_()
    advantages = torch.randn(num_rows, 1, dtype=dtype).expand(shape)
    mask = torch.rand(shape) < 0.7
    mask[:, 0], mask[-1] = True, False
    regions = torch.randint(0, 5, shape).masked_fill(~mask, -1)
    return log_prob, old_log_prob, advantages, mask, regions, torch.rand(shape, dtype=dtype) * 3


def loss_and_gradient(function, log_prob, *args, **kwargs):
    leaf = log_prob.detach().clone().requires_grad_()
    loss, metrics = function(leaf, *args, **kwargs)
    loss.backward()
    return loss.detach(), leaf.grad, metrics
