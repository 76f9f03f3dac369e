package journal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A record in the file: two bytes that mark its begin, length and CRC-32C of
// the rest, then op, length of the key, key, value. The mark lets a reader go
// on behind bytes that were damaged.
type record struct {
	op    byte
	key   string
	value []byte
}

const (
	opPut    = 'P'
	opDelete = 'D'

	headSize  = 2 + 4 + 4
	mostKey   = 1 << 12
	mostValue = 1 << 20
)

var mark = []byte{0xf5, 0x84}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func frameSize(key string, value []byte) int64 {
	return int64(headSize + 1 + 2 + len(key) + len(value))
}

func (r record) encode(to []byte) []byte {
	to = append(to, mark...)
	to = binary.LittleEndian.AppendUint32(to, uint32(1+2+len(r.key)+len(r.value)))
	to = append(to, 0, 0, 0, 0)
	body := len(to)
	to = append(to, r.op)
	to = binary.LittleEndian.AppendUint16(to, uint16(len(r.key)))
	to = append(to, r.key...)
	to = append(to, r.value...)
	binary.LittleEndian.PutUint32(to[body-4:], crc32.Checksum(to[body:], castagnoli()))
	return to
}

// decode reads the record at the begin of from, and how long it is; 0 if there
// is none.
func decode(from []byte) (r record, n int) {
	if len(from) < headSize || !bytes.HasPrefix(from, mark) {
		return r, 0
	}
	length := binary.LittleEndian.Uint32(from[2:])
	if length < 3 || length > 3+mostKey+mostValue || int(length) > len(from)-headSize {
		return r, 0
	}
	body := from[headSize : headSize+int(length)]
	if crc32.Checksum(body, castagnoli()) != binary.LittleEndian.Uint32(from[6:]) {
		return r, 0
	}
	keyEnd := 3 + int(binary.LittleEndian.Uint16(body[1:]))
	if keyEnd > len(body) || body[0] != opPut && body[0] != opDelete {
		return r, 0
	}
	return record{body[0], string(body[3:keyEnd]), body[keyEnd:]}, headSize + int(length)
}

// scan reads all records of a file. end is where the last one ends, damaged
// the number of bytes before it that are no record.
func scan(content []byte, visit func(record)) (end, damaged int64) {
	for at := 0; at < len(content); {
		if r, n := decode(content[at:]); n > 0 {
			visit(r)
			damaged += int64(at) - end
			at += n
			end = int64(at)
			continue
		}
		next := bytes.Index(content[at+1:], mark)
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return end, damaged
}
