"""Sources of small scripts, as upstream writes its own."""

from collections.abc import Sequence

from ltx2_patcher.rules.models.pipelines import Pipeline, parse_pipelines, pick
from ltx2_patcher.rules.models.request import parse_argv
from ltx2_patcher.rules.models.request_checks import check_numbers
from ltx2_patcher.values.request import Request

SHARED = b"""
def parser(p):
    for name in ("--checkpoint-path", "--gemma-root"):
        pass
    p.add_argument("--checkpoint-path")
    p.add_argument("--gemma-root")
    p.add_argument("--height", type=int)
    p.add_argument("--num-frames", type=int)
    p.add_argument("--num-inference-steps", type=int)
    p.add_argument("--width", type=int)
    p.add_argument("--image", nargs="+")
    p.add_argument("--output-path")
    p.add_argument("--gemma-4bit", action="store_true")
    p.add_argument("--gemma-8bit", action="store_true")
"""
TWO = b'''
from ltx_pipelines.utils.args import parser
class TwoStagePipeline:
    """Two stages.

    More.
    """
    def __call__(self):
        assert_resolution(1, 2, is_two_stage=True)
def main():
    parser.add_argument("--spatial-upsampler-path")
if __name__ == "__main__":
    main()
'''
PLAIN = b'"""Write it."""\nif __name__ == "__main__":\n    main()\n'
MANY = b'''"""On many GPUs."""
from ltx_pipelines.two import TwoStagePipeline
from ltx_pipelines.multigpu.runner import Runner
class ManyRunner(Runner):
    pass
if __name__ == "__main__":
    from ltx_pipelines.utils.args import parser
'''
SPLIT = b'''
from ltx_pipelines.utils.args import parser
class SplitPipeline:
    """In parts."""
    def __init__(self, paths, frames: int | AutoDuration):
        self.encoder = PromptEncoder(paths)
        self.parts = paths.transformer(), paths.video_vae()
if __name__ == "__main__":
    parser.add_argument("--transformer-path")
    parser.add_argument("--text-encoder-path")
    parser.add_argument("--video-vae-path")
    parser.add_argument("--audio-vae-path")
    parser.add_argument("--duration-head-path")
    parser.add_argument("--prompt-enhancer-gemma-root")
    parser.add_argument("--enhance-prompt")
    parser.add_argument("--offload")
    parser.add_argument("--quantization")
    parser.add_argument("--enable-fp8")
    parser.add_argument("--hdr")
    parser.add_argument("--video-path")
    encode_video(fps=int(src.fps))
'''
SOURCES = {
    "many": MANY,
    "split": SPLIT,
    "two": TWO,
    "one": TWO.replace(b"is_two_stage=True", b"is_two_stage=False"),
    "plain": PLAIN,
    "library": b"x = 1",
}
PIPELINES = parse_pipelines(SOURCES, SHARED)
TWO_STAGE = pick(PIPELINES, "two")
IN_PARTS = pick(PIPELINES, "split")


def checked(pipeline: Pipeline, arguments: Sequence[str]) -> Request:
    """The request that is typed. Raises: UsageError where no script can make a clip of it."""
    request = parse_argv(pipeline, arguments)
    check_numbers(pipeline, request)
    return request
