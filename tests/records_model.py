"""The network of synthetic runs: MobileNetV2, with the sizes of its layer groups rounded so that they add up."""

from tlcore.recipes import ModelFacts, Preprocessing

PREPROCESSING = Preprocessing(
    size=224, resize=256, interpolation="bicubic", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
FACTS = ModelFacts(
    model="mobilenetv2_100", library="timm", family="cnn", preprocessing=PREPROCESSING, crop_pct=0.875,
    fixed_input_size=False, num_parameters=2_226_434, num_features=1280, num_groups=18, has_batch_norm=True,
)  # fmt: skip
HEAD_SIZE = 2_562
_BLOCKS = (
    ("conv_stem", 928), ("blocks.0.0", 896), ("blocks.1.0", 5_136), ("blocks.1.1", 8_832), ("blocks.2.0", 10_000),
    ("blocks.2.1", 14_848), ("blocks.2.2", 14_848), ("blocks.3.0", 21_056), ("blocks.3.1", 54_272),
    ("blocks.3.2", 54_272), ("blocks.3.3", 54_272), ("blocks.4.0", 66_624), ("blocks.4.1", 118_272),
    ("blocks.4.2", 118_272), ("blocks.5.0", 155_264), ("blocks.5.1", 320_000), ("blocks.5.2", 320_000),
    ("blocks.6.0", 886_080),
)  # fmt: skip
GROUP_SIZES = dict(_BLOCKS)
FULL_FACTS = FACTS.model_copy(update={"linear_share": 0.9, "group_names": tuple(GROUP_SIZES)})
