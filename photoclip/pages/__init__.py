"""The pages people look at photos on: one file that holds everything, or the same page served live."""
