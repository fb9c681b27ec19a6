"""The recipe image: made the same to the byte every time, kept by digest, asked for its recipes.

`ImageLibrary` keeps the images of this machine; `lock_document` and `compare_packages` are about what an
image is pinned by; `parse_reference` refuses a tag. The root file system comes from `rootfs.sh`, beside this.
"""

from pipeline.image.library import ImageLibrary, compare_packages, lock_document
from pipeline.image.lock import Package, packages_from_json, parse_reference
from pipeline.image.recipes import RecipeParameter
from pipeline.image.unpack import changed_rootfs

__all__ = [
    "ImageLibrary",
    "Package",
    "RecipeParameter",
    "changed_rootfs",
    "compare_packages",
    "lock_document",
    "packages_from_json",
    "parse_reference",
]
