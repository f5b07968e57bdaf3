module hatchery/plain

go 1.19
