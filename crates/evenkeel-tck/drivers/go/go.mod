module github.com/evenkeel/evenkeel/crates/evenkeel-tck/drivers/go

go 1.25
