package iptest

import "testing"

func TestFakeConforms(t *testing.T) { Conform(t, NewStore().As("n"), "conform") }
