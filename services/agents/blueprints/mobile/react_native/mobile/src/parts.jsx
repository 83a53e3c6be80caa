import { FlatList, Pressable, ScrollView, StyleSheet, Text, TextInput, View } from "react-native";

const INK = "#1c2330";
const QUIET = "#5d6675";
const LINE = "#dde2ea";
const ACCENT = "#2456c8";

export function Screen({ children }) {
  return (
    <ScrollView contentContainerStyle={styles.screen} keyboardShouldPersistTaps="handled">
      {children}
    </ScrollView>
  );
}

export function Button({ label, onPress, busy = false, plain = false }) {
  return (
    <Pressable
      accessibilityRole="button"
      disabled={busy}
      onPress={onPress}
      style={[styles.button, plain && styles.plainButton, busy && styles.busy]}
    >
      <Text style={plain ? styles.plainLabel : styles.buttonLabel}>{label}</Text>
    </Pressable>
  );
}

/** A line that leads somewhere: what it is, and something quiet beside it. */
export function Row({ title, note, onPress }) {
  return (
    <Pressable accessibilityRole="button" onPress={onPress} style={styles.row}>
      <Text style={styles.rowTitle}>{title}</Text>
      {note ? <Text style={styles.quiet}>{note}</Text> : null}
    </Pressable>
  );
}

export function Quiet({ children }) {
  return <Text style={styles.quiet}>{children}</Text>;
}

export function Title({ children }) {
  return <Text style={styles.title}>{children}</Text>;
}

/** What went wrong, in words; nothing if nothing did. */
export function Problem({ error }) {
  return error ? (
    <Text accessibilityRole="alert" style={styles.problem}>
      {error.message}
    </Text>
  ) : null;
}

/** One labelled input; `secret` hides what is typed. */
export function Input({ label, value, onChange, keyboard = "default", lines = 1, secret = false }) {
  return (
    <View style={styles.field}>
      <Text style={styles.quiet}>{label}</Text>
      <TextInput
        accessibilityLabel={label}
        autoCapitalize={keyboard === "default" && !secret ? "sentences" : "none"}
        keyboardType={keyboard}
        multiline={lines > 1}
        numberOfLines={lines}
        onChangeText={onChange}
        secureTextEntry={secret}
        style={styles.input}
        value={value}
      />
    </View>
  );
}

/** A labelled choice; choosing what is chosen takes it back if nothing has to be. */
export function Choices({ label, options, value, onChange, required }) {
  return (
    <View style={styles.field}>
      <Text style={styles.quiet}>{label}</Text>
      <View style={styles.choices}>
        {options.map(([option, name]) => {
          const chosen = option === value;
          return (
            <Pressable
              key={String(option)}
              accessibilityRole="radio"
              accessibilityState={chosen ? CHOSEN : NOT_CHOSEN}
              onPress={() => onChange(chosen && !required ? null : option)}
              style={[styles.chip, chosen && styles.chosenChip]}
            >
              <Text style={chosen ? styles.buttonLabel : styles.plainLabel}>{name}</Text>
            </Pressable>
          );
        })}
      </View>
    </View>
  );
}

/** A list from `usePages` that loads more at its end. */
export function Pages({ pages, empty, header, children }) {
  if (pages.error && !pages.items) return <Problem error={pages.error} />;
  return (
    <FlatList
      contentContainerStyle={styles.screen}
      data={pages.items ?? []}
      keyExtractor={(item) => String(item.id)}
      ListEmptyComponent={<Quiet>{pages.items ? empty : "Loading…"}</Quiet>}
      ListHeaderComponent={header}
      ListFooterComponent={<Problem error={pages.error} />}
      onEndReached={() => pages.more?.()}
      onRefresh={pages.reload}
      refreshing={!pages.items}
      renderItem={({ item }) => children(item)}
    />
  );
}

const CHOSEN = { checked: true };
const NOT_CHOSEN = { checked: false };

const styles = StyleSheet.create({
  screen: { padding: 16, gap: 12 },
  title: { fontSize: 22, fontWeight: "600", color: INK },
  quiet: { color: QUIET },
  problem: { color: "#b3261e", paddingVertical: 8 },
  row: { paddingVertical: 14, borderBottomWidth: StyleSheet.hairlineWidth, borderColor: LINE },
  rowTitle: { fontSize: 17, color: INK },
  field: { gap: 4 },
  input: { borderWidth: 1, borderColor: LINE, borderRadius: 8, padding: 10, fontSize: 16, color: INK },
  choices: { flexDirection: "row", flexWrap: "wrap", gap: 8 },
  chip: { borderWidth: 1, borderColor: LINE, borderRadius: 16, paddingVertical: 6, paddingHorizontal: 12 },
  chosenChip: { backgroundColor: ACCENT, borderColor: ACCENT },
  button: { backgroundColor: ACCENT, borderRadius: 8, padding: 14, alignItems: "center" },
  plainButton: { backgroundColor: "transparent", borderWidth: 1, borderColor: LINE },
  busy: { opacity: 0.5 },
  buttonLabel: { color: "#ffffff", fontSize: 16, fontWeight: "600" },
  plainLabel: { color: INK, fontSize: 16 },
});
