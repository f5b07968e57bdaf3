module hatchery/load

go 1.19
