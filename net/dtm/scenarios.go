package main

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"time"

	"github.com/dtm-labs/dtm/client/dtmcli"
	"github.com/dtm-labs/dtm/client/dtmgrpc"
)

type scenario struct {
	name string
	play func(*world) error
}

func scenarios(count int, seed int64) []scenario {
	both := func(play func(*world, bool) error) func(*world) error {
		return func(w *world) error {
			for _, overGrpc := range []bool{false, true} {
				if err := play(w, overGrpc); err != nil {
					return fmt.Errorf("over %s: %w", protocol(overGrpc), err)
				}
			}
			return nil
		}
	}
	return []scenario{
		{"success", both(success)},
		{"business failure in try", both(businessFailure)},
		{"abort", both(abort)},
		{"timeout", both(timeout)},
		{"participant killed", both(participantKilled)},
		{"coordinator restarted", both(coordinatorRestarted)},
		{"random, with kills", func(w *world) error { return random(w, count, seed) }},
	}
}

func protocol(overGrpc bool) string {
	if overGrpc {
		return "gRPC"
	}
	return "HTTP"
}

// begin makes a payment that the audit knows of.
func (w *world) begin(overGrpc bool, amount int64) *payment {
	p := &payment{
		gid:      fmt.Sprintf("%s-%06d", strings.ToLower(protocol(overGrpc)), len(w.payments)),
		payer:    1,
		payee:    2,
		amount:   amount,
		overGrpc: overGrpc,
	}
	w.payments = append(w.payments, p)
	return p
}

// expect checks what the coordinator makes of a payment.
func (w *world) expect(p *payment, status string) error {
	found, err := w.settled(p)
	if err == nil && found != status {
		err = fmt.Errorf("payment %s is %q, not %q", p.gid, found, status)
	}
	return err
}

func success(w *world, overGrpc bool) error {
	p := w.begin(overGrpc, 10)
	if err := w.pay(p); err != nil {
		return err
	}
	w.succeeds++
	return w.expect(p, "succeed")
}

func businessFailure(w *world, overGrpc bool) error {
	p := w.begin(overGrpc, 100*funds)
	err := w.pay(p)
	if overGrpc {
		err = dtmgrpc.GrpcError2DtmError(err)
	}
	if !errors.Is(err, dtmcli.ErrFailure) {
		return fmt.Errorf("the client does not see a failure: %v", err)
	}
	return w.expect(p, "failed")
}

func abort(w *world, overGrpc bool) error {
	p := w.begin(overGrpc, 10)
	p.before = func() error { return errAborted }
	if err := w.pay(p); !errors.Is(err, errAborted) {
		return fmt.Errorf("the client does not see its own error: %v", err)
	}
	return w.expect(p, "failed")
}

func timeout(w *world, overGrpc bool) error {
	p := w.begin(overGrpc, 10)
	p.timeout, p.vanishes = 3, true
	if err := w.pay(p); err != nil {
		return err
	}
	return w.expect(p, "failed")
}

// payAndLosePayee pays; the payee's ledger is killed when both have tried.
func payAndLosePayee(w *world, overGrpc bool) (*payment, *unit, error) {
	p := w.begin(overGrpc, 10)
	payee := w.units[1-p.from]
	p.before = func() error {
		payee.process.kill()
		return nil
	}
	return p, payee, w.pay(p)
}

// participantKilled: both have tried; one is killed, and comes back while the coordinator asks.
func participantKilled(w *world, overGrpc bool) error {
	p, payee, err := payAndLosePayee(w, overGrpc)
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	status, err := w.coordinator.status(p.gid)
	if err != nil {
		return err
	}
	if status != "submitted" {
		return fmt.Errorf("it is %q while a participant is down", status)
	}
	if err := payee.start(); err != nil {
		return err
	}
	return w.expect(p, "succeed")
}

// coordinatorRestarted: it is killed with a second phase under way, and goes on with it.
func coordinatorRestarted(w *world, overGrpc bool) error {
	p, payee, err := payAndLosePayee(w, overGrpc)
	if err != nil {
		return err
	}
	w.coordinator.process.kill()
	if err := w.coordinator.start(); err != nil {
		return err
	}
	if err := payee.start(); err != nil {
		return err
	}
	return w.expect(p, "succeed")
}

// random payments at the same time, over both protocols, in both directions. Some are too large,
// some are aborted, some callers vanish; meanwhile each ledger and the coordinator are killed and
// started again. What a caller sees does not matter here: the audit looks at what became of it.
func random(w *world, count int, seed int64) error {
	fmt.Printf("random: seed %d\n", seed)
	rng := rand.New(rand.NewSource(seed))
	payments := make([]*payment, count)
	for i := range payments {
		p := w.begin(rng.Intn(2) == 1, 1+rng.Int63n(200))
		p.from, p.payer, p.payee = rng.Intn(2), 1+rng.Intn(customers), 1+rng.Intn(customers)
		p.timeout = 8
		switch rng.Intn(10) {
		case 0:
			p.amount *= 100 * funds
		case 1:
			p.before = func() error { return errAborted }
		case 2:
			p.vanishes = true
		}
		payments[i] = p
	}
	pauses := make([]time.Duration, count)
	for i := range pauses {
		pauses[i] = time.Duration(rng.Int63n(int64(3 * time.Second)))
	}
	var callers sync.WaitGroup
	for i, p := range payments {
		callers.Add(1)
		go func() {
			defer callers.Done()
			time.Sleep(pauses[i])
			_ = w.pay(p)
		}()
	}
	restarts := []func() error{
		func() error { w.units[1].process.kill(); return w.units[1].start() },
		func() error { w.coordinator.process.kill(); return w.coordinator.start() },
		func() error { w.units[0].process.kill(); return w.units[0].start() },
	}
	for _, restart := range restarts {
		time.Sleep(700 * time.Millisecond)
		if err := restart(); err != nil {
			return err
		}
	}
	callers.Wait()
	// A service that finds a process gone gives up, so not all that could succeed.
	w.succeeds += count / 10
	return nil
}
