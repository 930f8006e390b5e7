// Volcano, for its kinds alone: nothing of it is built.
module ocrfleet.io/tests/cluster/volcano

go 1.26.0

require volcano.sh/volcano v1.15.1
