module hatchery.example/device

go 1.19
