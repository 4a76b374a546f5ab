"""A picture as a viewer shows it, whatever a camera, a scanner or a drawing program made of its pixels."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageCms, ImageOps


def as_shown(image: Image.Image) -> Image.Image:
    """Return `image` upright, in 8 bits and without transparency, in mode RGB, or L where it is gray.
    What is transparent lies over black. 16 bits are scaled, CMYK is converted by the profile that the file brings, if
    any; of several frames the first counts.
    Raises:
        ValueError: the pixels are floats, of which nobody says what white is.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("a picture of floats has no white: save it in 8 or 16 bits")
    if image.mode.startswith("I"):
        return Image.fromarray(np.rint(np.asarray(image, np.float64).clip(0, 65535) / 257).astype(np.uint8))
    if image.mode == "CMYK":
        return _without_ink(image)
    if image.mode == "1":
        return image.convert("L")
    if image.mode in {"LA", "La"}:
        return _over_black(image.convert("LA"), "L")
    if image.has_transparency_data:
        return _over_black(image.convert("RGBA"), "RGB")
    return image if image.mode in {"RGB", "L"} else image.convert("RGB")


def _over_black(image: Image.Image, mode: str) -> Image.Image:
    shown = Image.new(mode, image.size)
    shown.paste(image.convert(mode), mask=image.getchannel("A"))
    shown.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return shown


def _without_ink(image: Image.Image) -> Image.Image:
    profile = image.info.pop("icc_profile", None)
    if profile is not None:
        try:
            ink, light = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, ink, light, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):  # a profile that is no CMYK profile, or torn
            pass
    return image.convert("RGB")
