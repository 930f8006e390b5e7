"""Published models: manifests, channels, what a distillation gained."""
