"""verl's data set, with each row's own tools counted in its prompt's length.

Rows of the prompt style `chat_template` carry their tools, which the model's template adds to the
prompt in the rollout. verl counts a prompt without them, so that a row could pass and its prompt be
too long all the same.
"""

from typing import Any

from omegaconf import DictConfig, open_dict
from verl.utils.dataset.rl_dataset import RLHFDataset

from rest_verl.prompts.template import prompt_ids


class ToolRowsDataset(RLHFDataset):
    """Drops rows whose prompt and tools are too long where verl is told to drop such prompts
    (`data.filter_overlong_prompts`), else refuses them."""

    def maybe_filter_out_long_prompts(self, dataframe: Any = None) -> Any:
        """As verl's, then the same with tools.

        Raises:
            ValueError: a row is too long, and none is to be dropped; names the first.
        """
        dataframe = super().maybe_filter_out_long_prompts(dataframe)
        if "extra_info" not in dataframe.column_names:
            return dataframe
        infos = dataframe["extra_info"]
        lengths = {
            row: len(
                prompt_ids(
                    self.tokenizer,
                    dataframe[row][self.prompt_key],
                    info["tools"],
                    self.apply_chat_template_kwargs,
                )
            )
            for row, info in enumerate(infos)
            if (info or {}).get("tools")
        }
        too_long = {row: size for row, size in lengths.items() if size > self.max_prompt_length}
        if not too_long:
            return dataframe
        if self.filter_overlong_prompts:
            print(
                f"[rest] dropped {len(too_long)} of {len(dataframe)} rows: with their tools, the "
                f"prompts are longer than data.max_prompt_length={self.max_prompt_length}"
            )
            return dataframe.select([row for row in range(len(dataframe)) if row not in too_long])
        row, size = next(iter(too_long.items()))
        raise ValueError(
            f"row {infos[row].get('id', row)}: its prompt has {size} tokens with its tools, and "
            f"data.max_prompt_length={self.max_prompt_length}; so it is with {len(too_long)} of "
            f"{len(dataframe)} rows. Set data.max_prompt_length={max(too_long.values())}, or "
            "data.filter_overlong_prompts=True to drop them"
        )


def count_tools(config: DictConfig) -> None:
    """Makes verl load its data as `ToolRowsDataset`, unless the user has a class of their own."""
    with open_dict(config):
        custom = config.data.get("custom_cls")
        if custom is None or custom.get("path") is None:
            config.data.custom_cls = {"path": f"pkg://{__name__}", "name": ToolRowsDataset.__name__}
