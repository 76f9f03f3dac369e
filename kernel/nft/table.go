package nft

// Table is inet tsunagu in one network namespace.
type Table struct{}
