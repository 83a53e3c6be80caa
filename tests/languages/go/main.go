// A client and an agent of Nexus in Go, made of a NATS client and the messages of contracts/asyncapi.yaml.
//
//	NATS_URL=… NATS_USER=… NATS_PASSWORD=… program [agent|project]
//
// "agent" does tasks that need the capability "writing" until it is told to stop. "project" has a project of its own
// done and prints what happens, one JSON line per event. Without a word it is both.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"iter"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	name       = "go-writer"
	capability = "writing"
	beat       = 2 * time.Second // after three missed beats an agent counts as lost, and others get its tasks
)

type object = map[string]any

// event is the part of a CloudEvent that matters here; every message has this form.
type event struct {
	Type, Traceparent string
	Data              json.RawMessage
}

var (
	nc *nats.Conn
	js jetstream.JetStream
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	nc = must(nats.Connect(os.Getenv("NATS_URL"), nats.MaxReconnects(-1),
		nats.UserInfo(os.Getenv("NATS_USER"), os.Getenv("NATS_PASSWORD"))))
	defer nc.Close()
	js = must(jetstream.New(nc))

	var serving sync.WaitGroup
	if len(os.Args) < 2 || os.Args[1] == "agent" {
		serving.Go(func() { serve(ctx) })
	}
	if len(os.Args) < 2 || os.Args[1] == "project" {
		haveDone(ctx)
		stop() // the agent, too
	}
	serving.Wait()
}

// haveDone creates a project with tasks of its own, sends the signals that it waits for, and follows it to its end.
func haveDone(ctx context.Context) {
	command := "words-" + random(8)
	trace := "00-" + random(16) + "-" + random(8) + "-01" // W3C trace context: every event of the project carries it on
	project := create(ctx, command, trace)
	tell(object{"command": command, "project": project, "traceparent": trace})

	// The whole story is three filters: the resource manager's events are about its pool, the project comes behind.
	for position, event := range read(ctx, "NEXUS_EVENTS", "nexus.events.planner."+project+".>",
		"nexus.events.coordinator."+project+".>", "nexus.events.resource_manager.*.*."+project) {
		tell(object{"sequence": position, "event": event.Type, "traceparent": event.Traceparent, "data": event.Data})
		switch event.Type {
		case "nexus.coordinator.execution_started": // a plain publisher needs no envelope
			must(js.Publish(ctx, "nexus.signals."+project+".words_found", []byte("{}")))
		case "nexus.coordinator.tasks_settled": // with an id of its own a signal counts once, however often it is sent
			publish(ctx, "nexus.signals."+project+".approved", "org.example.approved", command+"-approved", trace,
				object{"by": "a reader"})
		case "nexus.coordinator.execution_completed":
			return
		case "nexus.coordinator.execution_failed", "nexus.coordinator.execution_cancelled",
			"nexus.coordinator.execution_rolled_back":
			log.Fatal(event.Type)
		}
	}
}

// create sends a command and waits for its outcome. The command's id is its idempotency key: sent again it has no
// further effect, and the same outcome.
func create(ctx context.Context, command, trace string) string {
	publish(ctx, "nexus.commands.planner.create_project", "nexus.planner.create_project", command, trace, object{
		"title":    "Words from Go",
		"protocol": object{"type": "event_driven", "sync_points": []string{"words_found", "approved"}},
		"tasks": []object{
			{"id": "draft", "capability": capability, "waits_for": []string{"words_found"},
				"input": object{"text": "hello from Go"}},
			{"id": "print", "capability": capability, "waits_for": []string{"approved"},
				"depends_on": []string{"draft"}},
		},
	})
	var outcome struct {
		Status, Message string
		Result          struct{ Project string }
	}
	for _, event := range read(ctx, "NEXUS_OUTCOMES", "nexus.outcomes."+command) { // kept for an hour
		check(json.Unmarshal(event.Data, &outcome))
		break
	}
	if outcome.Status != "accepted" {
		log.Fatalf("refused: %s", outcome.Message)
	}
	return outcome.Result.Project
}

// read yields what a stream has on these subjects, and then whatever comes, until the context ends: each message once
// and in order, also when the connection is lost in between.
func read(ctx context.Context, stream string, subjects ...string) iter.Seq2[uint64, event] {
	consumer := must(js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{FilterSubjects: subjects}))
	messages := must(consumer.Messages())
	return func(yield func(uint64, event) bool) {
		defer messages.Stop()
		for {
			message, err := messages.Next(jetstream.NextContext(ctx))
			if ctx.Err() != nil {
				return
			}
			check(err)
			var event event
			check(json.Unmarshal(message.Data(), &event))
			if !yield(must(message.Metadata()).Sequence.Stream, event) {
				return
			}
		}
	}
}

// publish sends a message until its stream has it. The id makes that safe: a stream drops what it has already.
func publish(ctx context.Context, subject, kind, id, trace string, data object) {
	for {
		_, err := js.Publish(ctx, subject, envelope(kind, id, trace, data), jetstream.WithMsgID(id))
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Printf("%s: again: %v", subject, err)
		time.Sleep(time.Second)
	}
}

func envelope(kind, id, trace string, data object) []byte {
	event := object{"specversion": "1.0", "id": id, "type": kind, "source": "example/" + name, "data": data}
	if trace != "" {
		event["traceparent"] = trace
	}
	return must(json.Marshal(event))
}

func tell(line object) { fmt.Println(string(must(json.Marshal(line)))) }

func random(bytes int) string {
	some := make([]byte, bytes)
	_, _ = rand.Read(some)
	return fmt.Sprintf("%x", some)
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
