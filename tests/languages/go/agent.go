package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// assignment is what an agent is given on nexus.tasks.<agent>; of a withdrawal only the first three fields are there.
type assignment struct {
	Project, Task string
	Attempt       int
	Lease         string // lease and epoch go back with the result: they say that the task is still ours to end
	Epoch         int
	Input         struct {
		Text    string
		Seconds float64 // how long it takes
	}
	Upstream map[string]struct{ Text string } // output of each task that this one depends on
}

// attempt is an assignment in hand.
type attempt struct {
	assignment
	trace    string
	progress float64
	stop     context.CancelFunc
}

func (a assignment) id() string { return fmt.Sprintf("%s.%s.%d", a.Project, a.Task, a.Attempt) }

// agent is this run of the agent. Another run has another instance: what an earlier one had in hand goes to others.
type agent struct {
	sync.Mutex
	instance string
	beats    int
	running  map[string]*attempt
	known    map[string]bool
}

// serve does tasks until the context ends.
func serve(ctx context.Context) {
	a := &agent{instance: random(8), running: map[string]*attempt{}, known: map[string]bool{}}
	// The durable consumer keeps what arrives while nobody is here. Its name is agreed upon: agent-<name>.
	tasks := must(js.CreateOrUpdateConsumer(ctx, "NEXUS_TASKS", jetstream.ConsumerConfig{
		Durable: "agent-" + name, FilterSubject: "nexus.tasks." + name, AckPolicy: jetstream.AckExplicitPolicy}))
	consuming := must(tasks.Consume(func(message jetstream.Msg) {
		a.take(ctx, message.Data())
		_ = message.Ack() // at once, not when it is done: what beats do not mention is sent again from the log
	}))
	defer consuming.Stop()
	a.say("hello")
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			a.say("beat")
		case <-ctx.Done():
			a.say("bye") // what was in hand goes to others at once
			_ = nc.Flush()
			return
		}
	}
}

// say tells who is there, what it can do, and how far it is with what it has in hand; each message is complete.
func (a *agent) say(what string) {
	a.Lock()
	defer a.Unlock()
	a.beats++
	running := []object{}
	for _, it := range a.running {
		running = append(running, object{
			"project": it.Project, "task": it.Task, "attempt": it.Attempt, "progress": it.progress})
	}
	_ = nc.Publish("nexus.agents."+name+"."+what, envelope("nexus.agents.beat", fmt.Sprint(a.instance, ".", a.beats), "",
		object{"agent": name, "instance": a.instance, "capabilities": []string{capability}, "slots": 2,
			"interval": beat.Seconds(), "running": running}))
}

// take begins what is assigned, once, and drops what is withdrawn.
func (a *agent) take(ctx context.Context, message []byte) {
	var event event
	var it assignment
	if json.Unmarshal(message, &event) != nil || json.Unmarshal(event.Data, &it) != nil {
		return // sent again it would be no better
	}
	a.Lock()
	defer a.Unlock()
	id := it.id()
	known := a.known[id]
	a.known[id] = true
	switch held := a.running[id]; {
	case event.Type == "nexus.coordinator.withdrawal":
		if held != nil {
			held.stop()
			delete(a.running, id)
		}
		tell(object{"withdrawn": id})
	case event.Type == "nexus.coordinator.assignment" && known:
		tell(object{"dropped": id})
	case event.Type == "nexus.coordinator.assignment":
		working, stop := context.WithCancel(ctx)
		held = &attempt{assignment: it, trace: event.Traceparent, stop: stop}
		a.running[id] = held
		go a.work(working, held)
		tell(object{"taken": id})
	}
}

// work does the task, and says what came of it unless nobody wants to know any more.
func (a *agent) work(ctx context.Context, it *attempt) {
	defer it.stop()
	began := time.Now()
	for _, progress := range []float64{0.5, 1} {
		select {
		case <-time.After(time.Duration(it.Input.Seconds / 2 * float64(time.Second))):
		case <-ctx.Done():
			return
		}
		a.Lock()
		it.progress = progress
		a.Unlock()
		a.say("beat") // progress travels with a sign of life
	}
	text := it.Input.Text
	for _, earlier := range it.Upstream {
		text += earlier.Text
	}
	publish(ctx, "nexus.results."+it.Project+"."+it.Task, "nexus.agents.result", it.id()+".run", it.trace, object{
		"agent": name, "attempt": it.Attempt, "lease": it.Lease, "epoch": it.Epoch, "status": "done", // or "failed"
		"output": object{"text": text, "by": "Go"}, "seconds": time.Since(began).Seconds()})
	a.Lock()
	defer a.Unlock()
	delete(a.running, it.id())
}
