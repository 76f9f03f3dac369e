package bench

import (
	"context"
	"io"
)

func packets(ctx context.Context, o Options, log io.Writer) ([]string, error) { return nil, nil }
