"""What several pages share: words, colours, cached reads and the choice of a comparison or a dataset."""
