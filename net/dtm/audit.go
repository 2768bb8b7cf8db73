package main

import (
	"fmt"
	"math/big"
	"time"
)

// How long the coordinator may take to settle everything: its waits double with each failure.
const settleLimit = 120 * time.Second

// audit waits until the coordinator has settled every payment, and then compares: each payment has
// ended in the same way on both ledgers, as the coordinator says; nothing is open or pending; and
// the totals are what the payments that succeeded come to.
func (w *world) audit() (string, error) {
	succeeded, failed := 0, 0
	moved := new(big.Int)
	for _, p := range w.payments {
		status, err := w.settled(p)
		if err != nil {
			return "", err
		}
		if err := w.agrees(p, status); err != nil {
			return "", fmt.Errorf("payment %s, %s: %w", p.gid, status, err)
		}
		if status == "succeed" {
			succeeded++
			moved.Add(moved, p.moved())
		} else {
			failed++
		}
	}
	if w.succeeds > succeeded {
		return "", fmt.Errorf("only %d payments succeeded, of at least %d", succeeded, w.succeeds)
	}
	for _, u := range w.units {
		open, err := u.openBranches()
		if err != nil {
			return "", err
		}
		if open != 0 {
			return "", fmt.Errorf("%d branches are open on %s", open, u.address)
		}
	}
	if err := w.totals(moved); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d payments so far: %d succeeded, %d failed; totals are equal", len(w.payments), succeeded, failed), nil
}

func (w *world) settled(p *payment) (string, error) {
	status := ""
	err := until(settleLimit, func() (err error) {
		if status, err = w.coordinator.status(p.gid); err != nil {
			return err
		}
		switch status {
		// It is not known to the coordinator when that was down as the payment began.
		case "succeed", "failed", "":
			return nil
		}
		return fmt.Errorf("payment %s is %s", p.gid, status)
	})
	return status, err
}

// agrees checks a payment's two branches. One that was not even registered is unknown to its ledger.
func (w *world) agrees(p *payment, status string) error {
	for at, leg := range w.legs(p) {
		state, err := leg.unit.state(p.gid, fmt.Sprintf("%02d", at+1))
		if err != nil {
			return err
		}
		ok := false
		switch status {
		case "succeed":
			ok = state == "confirmed"
		case "failed":
			ok = state == "cancelled" || state == "suspended" || state == ""
		case "":
			ok = state == ""
		}
		if !ok {
			return fmt.Errorf("branch %d is %q", at+1, state)
		}
	}
	return nil
}

// totals: what left one unit's customers has reached the other's, and clearing shows it.
func (w *world) totals(moved *big.Int) error {
	all := new(big.Int)
	for at, u := range w.units {
		sum := big.NewInt(-customers * funds)
		for id := 1; id <= customers; id++ {
			balance, err := u.balance(id)
			if err != nil {
				return err
			}
			if balance.Sign() < 0 {
				return fmt.Errorf("customer %d of %s is overdrawn", id, u.address)
			}
			sum.Add(sum, balance)
		}
		owed, err := u.balance(clearing)
		if err != nil {
			return err
		}
		expected := new(big.Int).Set(moved)
		if at == 1 {
			expected.Neg(expected)
		}
		if owed.Cmp(expected) != 0 {
			return fmt.Errorf("clearing of %s is %v; the payments come to %v", u.address, owed, expected)
		}
		if new(big.Int).Add(sum, owed).Sign() != 0 {
			return fmt.Errorf("customers of %s have %v more, and clearing has %v", u.address, sum, owed)
		}
		all.Add(all, sum)
	}
	if all.Sign() != 0 {
		return fmt.Errorf("customers of both units have %v more than they began with", all)
	}
	return nil
}
