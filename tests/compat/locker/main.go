// locker holds goose's own table lock until its standard input ends.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/lock"
)

func main() {
	db, err := sql.Open("pgx", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	locker, err := lock.NewPostgresTableLocker(lock.WithTableLockTimeout(100*time.Millisecond, 300))
	if err != nil {
		log.Fatal(err)
	}
	if err := locker.Lock(context.Background(), db); err != nil {
		log.Fatal(err)
	}
	fmt.Println("locked")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		log.Fatal(err)
	}
	if err := locker.Unlock(context.Background(), db); err != nil {
		log.Fatal(err)
	}
	fmt.Println("unlocked")
}
