module github.com/evenkeel/evenkeel/tests/languages/go

go 1.26

require (
	github.com/cenkalti/backoff/v5 v5.0.3
	github.com/evenkeel/evenkeel/crates/evenkeel-tck/drivers/go v0.0.0
	github.com/jackc/puddle/v2 v2.2.2
	github.com/sourcegraph/conc v0.3.0
	golang.org/x/sync v0.24.0
	golang.org/x/time v0.16.0
)

replace github.com/evenkeel/evenkeel/crates/evenkeel-tck/drivers/go => ../../../crates/evenkeel-tck/drivers/go
