// Command oracle asks goose's own parser: JSON lines in, JSON lines out.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/mfridman/interpolate"
	"github.com/pressly/goose/v3/internal/sqlparser"
)

type question struct {
	Content   []byte            `json:"content"`
	Direction string            `json:"direction"`
	Environ   map[string]string `json:"environ"`
	Line      bool              `json:"line"`
}

type answer struct {
	Statements  [][]byte `json:"statements"`
	Transaction bool     `json:"transaction"`
	Error       string   `json:"error"`
}

func ask(q question) answer {
	os.Clearenv()
	for key, value := range q.Environ {
		os.Setenv(key, value)
	}
	if q.Line {
		text, err := interpolate.Interpolate(interpolate.NewMapEnv(q.Environ), string(q.Content))
		if err != nil {
			return answer{Error: err.Error()}
		}
		return answer{Statements: [][]byte{[]byte(text)}}
	}
	found, transaction, err := sqlparser.ParseSQLMigration(
		bytes.NewReader(q.Content), sqlparser.Direction(q.Direction), false)
	if err != nil {
		return answer{Error: err.Error()}
	}
	statements := make([][]byte, 0, len(found))
	for _, statement := range found {
		statements = append(statements, []byte(statement))
	}
	return answer{Statements: statements, Transaction: transaction}
}

func measure(path string) {
	started := time.Now()
	file, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	if _, _, err := sqlparser.ParseSQLMigration(file, sqlparser.DirectionUp, false); err != nil {
		panic(err)
	}
	fmt.Println(time.Since(started).Seconds())
}

func main() {
	if len(os.Args) > 1 {
		measure(os.Args[1])
		return
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	for decoder.More() {
		var q question
		if err := decoder.Decode(&q); err != nil {
			panic(err)
		}
		if err := encoder.Encode(ask(q)); err != nil {
			panic(err)
		}
	}
}
