package doctor

// aroundChecks are those about what stands beside tsunagu.
func aroundChecks() []Check { return nil }
