"""What photos show when they do not show what is looked for."""

from __future__ import annotations

# fmt: off
THINGS = (
    "person", "man", "woman", "child", "crowd", "face", "hand", "dog", "cat", "bird", "horse", "insect",
    "fish", "wild animal", "farm animal", "tree", "forest", "field of grass", "grass", "leaves", "soil",
    "gravel", "flower", "garden", "mountain", "beach", "sea", "lake", "river", "sky", "cloud", "sunset",
    "snow", "desert", "rock", "street", "city", "building", "house", "church", "bridge", "road", "room",
    "kitchen", "bedroom", "bathroom", "office", "shop", "stage", "table", "chair", "bed", "lamp", "window",
    "door", "wall", "floor", "staircase", "car", "truck", "bus", "train", "bicycle", "motorcycle", "boat",
    "ship", "airplane", "machine", "tool", "wheel", "engine", "computer", "phone", "camera", "screen",
    "book", "newspaper", "page of text", "sign", "map", "drawing", "chart", "painting", "statue", "toy",
    "ball", "musical instrument", "clock", "bottle", "glass", "cup", "plate", "bowl", "knife", "food",
    "meal", "fruit", "vegetable", "bread", "cake", "drink", "clothes", "dress", "hat", "shoe", "bag",
    "jewellery", "money", "texture", "pattern", "fabric", "stone surface", "metal", "wood", "plain colour",
    "darkness", "light", "fire", "smoke", "water", "ice", "star", "planet", "microscope image",
    "medical image", "sport", "game", "party", "wedding", "work", "weapon", "furniture", "box",
)
# fmt: on
"""Everyday things; each stands for itself only."""
