"""The stages of a run: one public function each."""
