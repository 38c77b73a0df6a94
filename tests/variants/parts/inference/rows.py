"""Row by row; lists back: of tensors for scores, of lists of one-word tensors for words."""


class TestLanguageModel:
    @staticmethod
    def prediction(inp, model):
        model.eval()
        rows = []
        for row in inp:
            scores = model(row.reshape(1, -1))
            rows.append(scores[0, -1])
        return rows

    @staticmethod
    def generation(inp, forward, model):
        made = []
        for row in inp:
            words, read = [], row.reshape(1, -1)
            for _ in range(forward):
                word = TestLanguageModel.prediction(read, model)[0].argmax()
                words.append(word)
                read = read.new_tensor([[*read[0].tolist(), word.item()]])
            made.append(words)
        return made
