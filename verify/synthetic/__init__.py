"""File sets of LTX-2's true architectures with random weights, small enough for a CPU.

A file set is what upstream's pipelines take on their command line: a checkpoint, a spatial
upsampler, a distilled LoRA and a Gemma root. `metadata/` holds the true models' own
configuration; a `Size` says what of it to make smaller. Tensors get their shapes from upstream's
own configurators on the meta device and their names from upstream's `SDOps`, inverted, so that
every key is right by construction; `completeness` then proves it through upstream's own builders.

Run: python -m verify.synthetic OUT --variant 2.0|2.3|2.5
"""
