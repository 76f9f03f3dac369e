package doctor

import "github.com/tsunagu-net/tsunagu/doctor/scaleup"

var machineTwoSpaces = groupRule(scaleup.CodeTwoSpaces,
	"auto-discovery names several namespaces",
	`Only the first namespace is watched; groups of others are never found, without a word.`)
