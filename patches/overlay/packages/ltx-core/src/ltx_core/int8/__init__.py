"""Products of 8-bit integers: weights with a scale a row, activations with a scale a token, both rotated.

    policy      what a pipeline is given: how weights load, which layers change, how LoRAs fuse
    checkpoint  a file, and which of its layers are, or become, integers
    layers      which linear layers, by their names
    linear      such a layer, and how q, k and v share one pass over what they are given
    weights     a weight as codes and scales, of a file of any layout; fusing is adding to it
    rotation    the rotation that takes outliers out of a row; its own inverse
    rows        a row as codes and a scale
    product     a product of codes, and the values that it stands for
    kernels     rows and product on a card
    launching   chooses between those and plain torch; operators launches, relaunching launches again with less work
    tiles       in which tiles they work; kept has those that a measurement on this card found, tuning measures
    block       the linear layers of a block, as they are measured

A weight W (N, K) and activations x (..., K) are rotated alike, W' = W H and x' = x H, so x' W'^T = x W^T.
"""
