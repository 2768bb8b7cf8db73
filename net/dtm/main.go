// Two Giro ledgers as two units and one DTM server: payments from a customer of one unit to a
// customer of the other, over HTTP and over gRPC, with DTM's own client. Processes are killed
// meanwhile. At the end every global transaction must be settled in the same way on both ledgers,
// and the totals must be equal.
//
// It starts three processes and ends exactly those.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dtm-labs/logger"
)

// world is what the scenarios play in.
type world struct {
	units       [2]*unit
	coordinator *coordinator
	// All payments that were begun, for the audit.
	payments []*payment
	// At least so many succeed.
	succeeds int
}

func main() {
	giro := flag.String("giro", "giro", "the ledger's program")
	dtm := flag.String("dtm", "dtm", "the coordinator's program")
	dir := flag.String("dir", "", "folder for ledgers, store and logs; it must not exist")
	count := flag.Int("transactions", 200, "payments of the random scenario")
	only := flag.String("only", "", "run one scenario")
	seed := flag.Int64("seed", time.Now().UnixMilli(), "of the random scenario")
	flag.Parse()
	if err := run(*giro, *dtm, *dir, *count, *only, *seed); err != nil {
		fmt.Fprintf(os.Stderr, "FAILED: %v\n", err)
		os.Exit(1)
	}
}

func run(giro, dtm, dir string, count int, only string, seed int64) (err error) {
	if dir == "" {
		return fmt.Errorf("say where with --dir")
	}
	// The coordinator runs in its own folder, so every path must hold from everywhere.
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	// What its calls fail of is said by DTM's client otherwise, and here failures are meant.
	logger.InitLog("fatal")
	w, err := start(giro, dtm, dir)
	if w != nil {
		defer w.stop()
	}
	if err != nil {
		return err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		w.stop()
		os.Exit(130)
	}()
	played := 0
	for _, s := range scenarios(count, seed) {
		if only != "" && only != s.name {
			continue
		}
		played++
		began := time.Now()
		if err := s.play(w); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		report, err := w.audit()
		if err != nil {
			return fmt.Errorf("%s: audit: %w", s.name, err)
		}
		fmt.Printf("%-28s %5.1f s  %s\n", s.name, time.Since(began).Seconds(), report)
	}
	if played == 0 {
		return fmt.Errorf("no scenario is called %q", only)
	}
	fmt.Printf("scenarios: %d passed\n", played)
	return nil
}

func start(giro, dtm, dir string) (*world, error) {
	w := &world{}
	for i, name := range []string{"east", "west"} {
		u, err := newUnit(giro, filepath.Join(dir, name))
		if err != nil {
			return w, err
		}
		w.units[i] = u
		if err := u.open(); err != nil {
			return w, err
		}
	}
	c, err := newCoordinator(dtm, filepath.Join(dir, "dtm"))
	if err != nil {
		return w, err
	}
	w.coordinator = c
	return w, c.start()
}

func (w *world) stop() {
	for _, u := range w.units {
		if u != nil {
			u.process.kill()
		}
	}
	if w.coordinator != nil {
		w.coordinator.process.kill()
	}
}
