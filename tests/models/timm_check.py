"""Run by test_timm in a process of its own: timm models against a plain loop. Prints `ok`.

Usage: python timm_check.py FOLDER_WITH_TIMM EMPTY_FOLDER
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

# Kept alive until the end: torchvision describes these two operators on import, and its compiled part is absent.
OPERATORS = torch.library.Library("torchvision", "DEF")


class Trap:
    """What runs code of its own when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def main(packages: str, work: Path) -> None:
    for name in ("nms", "qnms"):
        OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    sys.path.append(packages)
    import timm
    import timm.data

    from alignment.errors import ModelError
    from alignment.models import FakeHub, load_encoder, resolve
    from alignment.models.timm import hub_id
    from alignment.references import ModelRef

    draw = np.random.default_rng(0)
    pictures = [Image.fromarray(draw.integers(0, 256, (h, w, 3)).astype("uint8")) for h, w in [(40, 50), (64, 32)]]
    vit = {"img_size": 32, "embed_dim": 24, "depth": 2, "num_heads": 2}
    made = [
        ("vit_tiny_patch16_224", vit, 1, ["blocks.0", "blocks.1"]),
        ("vit_small_patch14_reg4_dinov2", {**vit, "patch_size": 8}, 5, ["blocks.0", "blocks.1"]),
        ("resnet10t", {}, 0, ["act1", "layer1", "layer2", "layer3", "layer4"]),
        (
            "swin_tiny_patch4_window7_224",
            {"embed_dim": 12, "depths": (1, 1, 1, 1)},
            0,
            [f"layers.{i}" for i in range(4)],
        ),
    ]
    for architecture, args, prefix, names in made:
        torch.manual_seed(0)
        model = timm.create_model(architecture, pretrained=False, num_classes=3, **args).eval()
        folder = work / architecture
        timm.models.save_for_hf(model, folder, model_args=args, safe_serialization=True)
        (folder / "pytorch_model.bin").unlink(missing_ok=True)

        hub = FakeHub({f"timm/{architecture}.mine": {"main": folder}})
        ref = resolve(ModelRef.parse(f"timm:{architecture}.mine"), hub)
        encoder = load_encoder(ref, hub=hub)
        assert encoder.reference == str(ref)
        assert len(str(ref.revision)) == 40
        assert encoder.fingerprint == load_encoder(ModelRef("path", str(folder))).fingerprint
        assert [layer.name for layer in encoder.layers] == names, encoder.layers
        assert encoder.poolings == (("mean", "cls", "max") if prefix else ("mean", "max"))

        cfg = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
        transform = timm.data.create_transform(
            tuple(cfg["input_size"]),
            interpolation=cfg["interpolation"],
            mean=cfg["mean"],
            std=cfg["std"],
            crop_pct=cfg["crop_pct"],
        )
        kept: list[torch.Tensor] = []
        for name in names:
            module = dict(model.named_modules())[name]
            module.register_forward_hook(lambda _m, _i, output, kept=kept: kept.append(output))
        for pooling in encoder.poolings:
            found = encoder.encode(pictures, pooling)
            for row, picture in enumerate(pictures):
                kept.clear()
                with torch.no_grad():
                    model(transform(picture)[None])
                for depth, state in enumerate(kept):
                    if architecture.startswith("vit"):
                        tokens = state[0]
                    else:  # swin keeps its maps as [b, h, w, c]
                        tokens = (state[0] if "swin" in architecture else state[0].permute(1, 2, 0)).flatten(0, 1)
                    patches = tokens[prefix:]
                    expected = {"mean": patches.mean(0), "max": patches.amax(0), "cls": tokens[0]}[pooling]
                    torch.testing.assert_close(found[depth][row], expected, rtol=1e-4, atol=1e-5)

    assert hub_id("resnet50") == "timm/resnet50.a1_in1k"
    evil = work / "evil.pth"
    torch.save({"state_dict": Trap(work / "sprung")}, evil)
    for change, words in [
        ({"num_layers": 9}, "cannot build"),
        ({"checkpoint_path": str(evil)}, "config.json sets checkpoint_path"),  # timm would load it, a pickle
        ({"cache_dir": "/", "scriptable": True}, "config.json sets cache_dir, scriptable"),
        ({"architecture": "none"}, "no architecture 'none'"),
        ({"architecture": "hf-hub:someone/else"}, "no architecture"),
    ]:
        config = json.loads((work / "resnet10t" / "config.json").read_text())
        config = {**config, **change} if "architecture" in change else {**config, "model_args": change}
        (work / "resnet10t" / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match=words):
            load_encoder(ModelRef("path", str(work / "resnet10t")))
    assert not (work / "sprung").exists()
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
