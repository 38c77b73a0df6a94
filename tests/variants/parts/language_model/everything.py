"""All four classes in one file, as a notebook exports them; the other three import from it."""

import numpy as np
import torch
import torch.nn as nn

BPTT, LR, HIDDEN = 20, 0.01, 64


class LanguageModelDataLoader:
    def __init__(self, dataset, batch_size, shuffle=True):
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle

    def __iter__(self):
        articles = np.random.permutation(self.dataset) if self.shuffle else self.dataset
        text = np.concatenate(articles).astype(np.int64)
        height = (text.size - 1) // self.batch_size
        used = height * self.batch_size
        inputs = text[:used].reshape(self.batch_size, height).T
        targets = text[1 : used + 1].reshape(self.batch_size, height).T
        for t in range(0, height, BPTT):
            yield torch.LongTensor(inputs[t : t + BPTT]), torch.LongTensor(targets[t : t + BPTT])


class LanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 24)
        self.rnn = nn.GRU(24, HIDDEN)
        self.decoder = nn.Linear(HIDDEN, vocab_size)

    def forward(self, x, state=None):
        x, state = self.rnn(self.embedding(x), state)
        return self.decoder(x), state


class LanguageModelTrainer:
    def __init__(self, model, loader, max_epochs=1, run_id="exp"):
        self.model, self.loader, self.max_epochs, self.run_id = model, loader, max_epochs, run_id
        self.optimizer = torch.optim.Adam(model.parameters(), LR)

    def train(self):
        for x, y in self.loader:
            self.train_batch(x, y)

    def train_batch(self, x, y):
        loss = nn.CrossEntropyLoss()(self.model(x)[0].flatten(0, 1), y.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def test(self):
        pass

    def save(self):
        torch.save(self.model.state_dict(), f"{self.run_id}.pt")


class TestLanguageModel:
    @staticmethod
    def prediction(inp, model):
        with torch.no_grad():
            return model(torch.LongTensor(inp).T)[0][-1].numpy().tolist()

    @staticmethod
    def generation(inp, forward, model):
        with torch.no_grad():
            scores, state = model(torch.LongTensor(inp).T)
            words = [scores[-1].argmax(-1)]
            for _ in range(forward - 1):
                scores, state = model(words[-1].view(1, -1), state)
                words.append(scores[0].argmax(-1))
        return torch.stack(words).T.tolist()


if __name__ == "__main__":
    import sys

    LanguageModelTrainer(LanguageModel(30), sys.argv[1]).train()
