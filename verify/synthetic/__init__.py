"""File sets of LTX-2's true architectures with random weights, tiny for a CPU or of true size.

A file set is what upstream's pipelines take on their command line: a checkpoint, a spatial
upsampler, a distilled LoRA and a Gemma root. `metadata/` holds the true models' own
configuration; a `Size` says what of it to make smaller. Tensors get their shapes from upstream's
own configurators on the meta device and their names from upstream's `SDOps`, inverted, so that
every key is right by construction; `completeness` then proves it through upstream's own builders,
and at true size `published` compares it with the lists of the published models' tensors.

Bytes at true size (the tiny sets take 6 to 40 MB):

                            2.0          2.3          2.5
    checkpoint bf16         43278523122  46139862358  46161654968
    checkpoint fp8          24751764354  27613103334  27635878744
    checkpoint fp8-scaled   27072080874  29522271710  29544064368
    gemma bf16              24383077355  24383077355  23927790986
    gemma f32               48757727394  48757727394  47847251401
    lora                     7399146376   8085790960   8085790960
    upsampler                 995743722    995743568    995743568

So 64 GiB hold a set of each variant with blocks in fp8, or in bf16 all of it but Gemma. A root of
Gemma serves several variants: make it alone with `--only gemma`, the rest without.

Run: python -m verify.synthetic OUT --variant 2.0|2.3|2.5 [--size full] [--blocks fp8] [--only ...]
"""
