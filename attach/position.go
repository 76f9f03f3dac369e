package attach

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// position tells where a byte offset of a text is, for people: lines and columns count from 1, columns in characters.
func position(text string, offset int64) string {
	at := min(max(int(offset), 0), len(text))
	before := text[:at]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("line %d, column %d", line, column)
}

// explainJSON words an error of encoding/json about a text, with its place.
func explainJSON(text string, err error) string {
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset := syntax.Offset
		if strings.HasPrefix(err.Error(), "unexpected end") {
			return fmt.Sprintf("%s: the JSON ends too early", position(text, int64(len(strings.TrimRight(text, " \t\r\n")))))
		}
		// Offset counts the offending byte in.
		return fmt.Sprintf("%s: %s", position(text, offset-1), err)
	case errors.As(err, &typed):
		field := typed.Field
		if field == "" {
			return fmt.Sprintf("%s: want %s, found a JSON %s", position(text, typed.Offset-1), describeType(typed.Type.String()), typed.Value)
		}
		return fmt.Sprintf("%s: %q must be %s, not a JSON %s", position(text, typed.Offset-1), field, describeType(typed.Type.String()), typed.Value)
	}
	return err.Error()
}

// describeType names a Go type as a JSON author knows it.
func describeType(typ string) string {
	switch {
	case typ == "string":
		return "a string"
	case typ == "bool":
		return "true or false"
	case strings.HasPrefix(typ, "int"), strings.HasPrefix(typ, "uint"), strings.HasPrefix(typ, "float"):
		return "a number"
	case typ == "[]string":
		return "a list of strings"
	case strings.HasPrefix(typ, "[]"):
		return "a list"
	}
	return "an object"
}
